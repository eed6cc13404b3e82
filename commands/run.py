"""`invoke run`: launch a server and report what serves where."""

from __future__ import annotations

import re
import sys
from dataclasses import replace as with_values
from typing import TYPE_CHECKING, Annotated, cast

from invoke.context import Context

from commands.output import say
from commands.run_output import JsonEvents, TerminalEvents
from commands.shared_options import FORMATS, OUTPUT, DryRun, Notify
from commands.task import verb
from errors import Refused
from launch.engine.limits import RESTARTS, Limits
from launch.operations.launch_options import Fixes, LaunchOptions
from launch.spec.option import Option
from launch.spec.plan import AUTO_PORT
from launch.spec.plan_options import CONTAINER, PlanOptions

if TYPE_CHECKING:
    from launch.operations.launch import Launched
    from launch.spec.plan import Plan

FIXES = ("auto", "ask", "no")
START = "Start"


def _size(label: str, given: str) -> str:
    """Return an amount of memory that the engine accepts."""
    if not re.fullmatch(r"[1-9][0-9]*[bkmgBKMG]?", given):
        raise Refused(f"{label} must be an amount such as 64g (got '{given}')")
    return given


@verb(help={"workaround": "apply a named workaround; or auto, ask, no: what to do if the start fails"})
def run(
    c: Context,
    options: PlanOptions,
    memory: Annotated[
        str,
        Option("memory limit of the container, e.g. 64g", metavar="SIZE", group=CONTAINER, parse=_size),
    ] = "",
    restart: Annotated[
        str, Option("restart policy of the container", choices=RESTARTS, group=CONTAINER)
    ] = "no",
    supervise: Annotated[
        bool,
        Option(
            "restart the server after a crash or a hang (`invoke supervise` has the options)", group=CONTAINER
        ),
    ] = False,
    notify: Notify = "",
    replace: Annotated[bool, Option("stop a running server of this name first", group=START)] = False,
    fetch: Annotated[bool, Option("fetch missing weights first", group=START)] = False,
    wait: Annotated[
        str,
        Option("yes: wait until the server is ready; no: return at once", choices=("yes", "no"), group=START),
    ] = "yes",
    detach: Annotated[bool, Option("return at once, like --wait no", short="d", group=START)] = False,
    verify_key: Annotated[
        str,
        Option(
            "public key that an image from --registry must be signed with (default: signatures are not checked)",
            metavar="PATH",
            group=START,
            setting=True,
        ),
    ] = "",
    phase_timeout: Annotated[
        int,
        Option(
            "seconds without a new log line after which a phase has failed (default: each phase has its own limit)",
            metavar="SECONDS",
            group=START,
        ),
    ] = 0,
    dry_run: DryRun = False,
    format: Annotated[
        str, Option("output format; json: one event a line", choices=FORMATS, group=OUTPUT)
    ] = "text",
) -> None:
    """Start a server, wait until it is ready, and check it with a real completion request.

    The plan is the one that `invoke plan` shows. A missing image is built or pulled first.

    invoke run --gpus 8
    invoke run --gpus 4 --name replica-2 --port auto
    invoke run slipway/MiniMax-M2-tiny --platform cpu
    """
    from launch.operations import launch as operation

    options, fixes = _split_workarounds(with_values(options, memory_limit=memory))
    limits = Limits(memory, restart)
    if supervise and restart != "no":
        why = "the container engine and the supervisor would both restart the server"
        raise Refused(
            f"--supervise and --restart {restart} cannot be used together", why=why, fix="--supervise"
        )
    how = LaunchOptions(
        replace, wait == "yes" and not detach, fetch, phase_timeout, fixes, verify_key, limits
    )
    events = JsonEvents() if format == "json" else TerminalEvents()
    try:
        if dry_run:
            _show_command(operation.planned(options, fixes, events), limits)
            return
        with events.reported():
            launched = operation.launch(options, how, events)
            events.result(launched)
    except operation.SeveralNodes as error:
        _show_nodes(error.plan, format)
        raise
    if supervise:
        _supervise(launched, options, limits, notify)


def _supervise(launched: Launched, options: PlanOptions, limits: Limits, notify: str) -> None:
    """Start the supervisor, which plans the server again if it knows a fix: the same name and weights."""
    from commands import supervise
    from launch.operations.supervised_launch import SupervisedLaunch, save

    revision = launched.plan.commit or options.revision
    again = with_values(options, name=launched.name, revision=revision)
    save(launched.name, SupervisedLaunch(again, limits))
    supervise.start(launched.name, notify=notify)


def _show_command(plan: Plan, limits: Limits) -> None:
    """Print the `docker run` with the same name and limits."""
    from launch.engine import ports
    from launch.planning.image_choice import require_fixed
    from launch.render import docker

    require_fixed(plan)
    if any(port.host == AUTO_PORT for port in plan.container.ports):
        plan = plan.with_port(ports.first_free(plan.container.ports[0].host_ip))
        say("note: --port auto: the port is free now; `invoke run` chooses again when it starts the server")
    print(docker.render(plan, limits.flags()))
    for path in plan.container.env_files:
        say(f"note: the first `invoke run` creates the API key in {path}; later runs use the same key")


def _show_nodes(plan: Plan, format: str) -> None:
    """Print the command of each node, for a person to run on its host."""
    from launch.render import docker

    if format == "text":
        print(docker.render(plan))


def _split_workarounds(options: PlanOptions) -> tuple[PlanOptions, Fixes]:
    """Take `auto`, `ask` or `no` out of the named workarounds. On a terminal the default is to ask."""
    modes = [name for name in options.workarounds if name in FIXES]
    default = "ask" if sys.stdin.isatty() and sys.stderr.isatty() else "report"
    named = tuple(name for name in options.workarounds if name not in FIXES)
    return with_values(options, workarounds=named), cast(Fixes, modes[-1] if modes else default)
