"""`invoke diagnose`: why a server failed, from its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.output import emit
from commands.task import one_of, verb
from errors import Refused

if TYPE_CHECKING:
    from launch.diagnosis.diagnose import Evidence


@verb(
    help={"source": "a log file (also packed), - for stdin, or a container's name", "format": "text or json"},
)
def diagnose(c: Any, source: str, format: str = "text") -> None:
    """Why a server failed: the cause, the lines that prove it, the cure.

    invoke diagnose server.log
    invoke diagnose slipway-minimax-m2 --format json
    """
    from dataclasses import asdict

    from launch.diagnosis.diagnose import diagnose as explain
    from launch.diagnosis.diagnose import text

    one_of("format", format, ("text", "json"))
    found = explain(evidence_of(source))
    if format == "json":
        emit(asdict(found))
    else:
        print(text(found))


def evidence_of(source: str) -> Evidence:
    """What a file or a container tells. Raises Refused where there is neither."""
    from launch.diagnosis.diagnose import Evidence
    from launch.diagnosis.log_files import file_lines

    if source == "-":
        return Evidence(file_lines(Path("/dev/stdin")))
    if source.startswith("-"):
        raise Refused(f"{source} is no log", fix="invoke --help diagnose")
    path = Path(source)
    if path.is_file():
        return Evidence(file_lines(path))
    if path.is_dir():
        raise Refused(f"{source} is a folder, no log", fix="name one file of it")
    if "/" in source:
        raise Refused(f"no such log: {source}", fix="name a file or a container: docker ps -a")
    return container_evidence(source)


def container_evidence(name: str) -> Evidence:
    """A container's log, as it streams in, and how it ended. Raises Refused for a name that is none."""
    from docker.errors import NotFound

    from launch.diagnosis.diagnose import Evidence
    from launch.engine.client import connect
    from launch.engine.log_stream import split_lines

    try:
        container = connect().containers.get(name)
    except NotFound as error:
        raise Refused(f"no log file and no container is called '{name}'", fix="docker ps -a") from error
    state = container.attrs["State"]
    over = state.get("Status") in ("exited", "dead", "created")
    return Evidence(
        split_lines(container.logs(stream=True, follow=False)),
        exit_code=state.get("ExitCode") if over else None,
        oom_killed=bool(state.get("OOMKilled")),
        engine_error=state.get("Error") or "",
    )
