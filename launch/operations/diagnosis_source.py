"""Read the input of a diagnosis from a log file, from stdin, or from a container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from errors import Refused
from launch.diagnosis.log_files import decode_lines
from launch.diagnosis.types import DiagnosisInput


def read_source(source: str) -> DiagnosisInput:
    """Read a log file, `-` for stdin, or a container by name. Raises Refused if there is no such source."""
    if source == "-":
        return DiagnosisInput(_file_lines(Path("/dev/stdin")))
    path = Path(source)
    if path.is_file():
        return DiagnosisInput(_file_lines(path))
    if path.is_dir():
        raise Refused(f"'{source}' is a folder, not a log file", fix=f"invoke diagnose {source}/FILE")
    if "/" in source or source.startswith("-"):
        raise Refused(
            f"log file '{source}' does not exist",
            fix="invoke diagnose FILE, or a container that docker ps -a lists",
        )
    return _container_input(source)


def _file_lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield from decode_lines(file, str(path))
    except OSError as error:
        raise Refused(f"cannot read '{path}'", why=str(error.strerror)) from error


def _container_input(name: str) -> DiagnosisInput:
    from docker.errors import NotFound

    from launch.engine.client import connect
    from launch.serving.server_exit import read_exit

    try:
        container = connect().containers.get(name)
    except NotFound as error:
        raise Refused(f"no log file and no container is named '{name}'", fix="docker ps -a") from error
    return read_exit(container)
