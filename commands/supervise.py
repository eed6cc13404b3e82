"""`invoke supervise` and `invoke events`: keep a server running, and show what happened to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.program_name import command
from commands.shared_options import Format, Name, Notify
from commands.task import verb
from errors import Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.operations.supervise import Supervisor
    from launch.supervision.events import Event

MaxRestarts = Annotated[
    int, Option("give up after this many restarts in a row", minimum=1, maximum=1000, setting=True)
]
HangAfter = Annotated[
    int,
    Option("restart if requests make no progress for this long", metavar="SECONDS", minimum=10, setting=True),
]


@verb()
def supervise(
    c: Context,
    name: Name = "",
    max_restarts: MaxRestarts = 5,
    hang_after: HangAfter = 300,
    notify: Notify = "",
    end: Annotated[bool, Option("end the supervision; the server continues to run")] = False,
    foreground: Annotated[bool, Option("supervise from this terminal until Ctrl-C")] = False,
) -> None:
    """Restart a server after a crash or a hang, with increasing delays.

    The supervisor runs in the background as a systemd service of this user, or as a process if there is no systemd.
    `invoke run --supervise` starts it together with a server.

    invoke supervise slipway-minimax-m2 --notify "logger -t slipway"
    """
    from launch.engine.client import connect
    from launch.engine.servers import find
    from launch.supervision import service
    from launch.supervision.notify import words_of

    container = find(connect(), name)
    server = str(container.name)
    if end:
        say(f"{server}: {'no longer supervised' if service.end(server) else 'was not supervised'}")
        return
    if notify:
        words_of(notify)
    if (
        policy := str((container.attrs["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no")
    ) != "no":
        raise Refused(
            f"'{server}' has the restart policy '{policy}'",
            why="the container engine and the supervisor would both restart it",
            fix=f"docker update --restart no {server}",
        )
    if foreground:
        with service.only_supervisor(server):
            _supervisor(server, max_restarts, hang_after, notify).run()
        return
    start(server, "--max-restarts", str(max_restarts), "--hang-after", str(hang_after), notify=notify)


def start(server: str, *options: str, notify: str) -> None:
    """Start the supervisor of a server in the background; it reads this user's settings itself."""
    from launch.supervision import service

    words = ["--foreground", *options, *(("--notify", notify) if notify else ())]
    how = service.start(server, (*command(), "supervise", server, *words), Path.cwd())
    place = "a systemd service of this user" if how == "systemd" else "a background process, until a reboot"
    say(f"{server}: supervised by {place} (invoke events {server}; invoke supervise {server} --end)")


def _supervisor(server: str, max_restarts: int, hang_after: int, notify: str) -> Supervisor:
    from launch.engine.client import connect
    from launch.operations import supervised_launch
    from launch.operations.supervise import Supervisor
    from launch.supervision.policy import Policy

    saved = supervised_launch.load(server)
    return Supervisor(
        connect(timeout=60),
        server,
        Policy(max_restarts=max_restarts, hang_after=hang_after),
        notify,
        saved,
        lambda event: say(_line(event)),
    )


def _line(event: Event) -> str:
    return f"{event.at} {event.server} {event.kind}: {event.reason}" + (
        f"; {event.cause}" * bool(event.cause)
    )


@verb()
def events(c: Context, name: Name = "", format: Format = "text") -> None:
    """Show what happened to supervised servers: deaths, causes, restarts.

    invoke events
    invoke events slipway-minimax-m2 --format json
    """
    from launch.supervision.events import read

    found = read(name)
    if format == "json":
        emit([event.as_dict() for event in found])
    elif found:
        rows = [(one.at, one.server, one.kind, one.reason, one.cause, one.log) for one in found]
        show(table(("AT", "SERVER", "EVENT", "REASON", "CAUSE", "LOG"), rows))
    else:
        say(f"No events{f' of {name!r}' if name else ''}. Supervise a server with `invoke supervise`.")
