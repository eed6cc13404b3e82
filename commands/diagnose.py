"""`invoke diagnose`: why a server failed, from its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.options import Format
from commands.output import emit, show
from commands.task import verb
from errors import Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.diagnosis.diagnose import Evidence


@verb()
def diagnose(
    c: Context,
    source: Annotated[
        str,
        Option(
            "log file (also compressed), - for stdin, or name of a container",
            metavar="SOURCE",
            positional=True,
            required=True,
        ),
    ] = "",
    format: Format = "text",
) -> None:
    """Diagnose why a server failed: root cause, the log lines that show it, and the fix.

    invoke diagnose server.log
    invoke diagnose slipway-minimax-m2 --format json
    """
    from dataclasses import asdict

    from launch.diagnosis.diagnose import diagnose as explain
    from launch.diagnosis.diagnose import text

    found = explain(evidence_of(source))
    if format == "json":
        emit(asdict(found))
    else:
        show(text(found))


def evidence_of(source: str) -> Evidence:
    """Read the log of a file or a container. Raises Refused if there is neither."""
    from launch.diagnosis.diagnose import Evidence
    from launch.diagnosis.log_files import file_lines

    if source == "-":
        return Evidence(file_lines(Path("/dev/stdin")))
    path = Path(source)
    if path.is_file():
        return Evidence(file_lines(path))
    if path.is_dir():
        raise Refused(f"'{source}' is a folder", fix="invoke diagnose FILE, with one file of it")
    if "/" in source:
        raise Refused(f"log file '{source}' does not exist", fix="ls, or docker ps -a for containers")
    return container_evidence(source)


def container_evidence(name: str) -> Evidence:
    """Stream a container's log, with its exit code. Raises Refused if there is no such container."""
    from docker.errors import NotFound

    from launch.diagnosis.diagnose import Evidence
    from launch.engine.client import connect
    from launch.engine.log_stream import split_lines

    try:
        container = connect().containers.get(name)
    except NotFound as error:
        raise Refused(f"no log file and no container is named '{name}'", fix="docker ps -a") from error
    state = container.attrs["State"]
    over = state.get("Status") in ("exited", "dead", "created")
    return Evidence(
        split_lines(container.logs(stream=True, follow=False)),
        exit_code=state.get("ExitCode") if over else None,
        oom_killed=bool(state.get("OOMKilled")),
        engine_error=state.get("Error") or "",
    )
