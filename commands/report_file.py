"""Write what a report prints to a file: whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

from errors import Failed, Refused


@contextmanager
def stdout_to(name: str) -> Iterator[None]:
    """Write what is printed to a file, also if the block then fails; "" is stdout. Raises Failed."""
    if not name:
        yield
        return
    stream = BytesIO()
    text = TextIOWrapper(stream, "utf-8", errors="replace", newline="\n", write_through=True)
    try:
        with redirect_stdout(text):
            yield
    finally:
        text.flush()
        if content := stream.getvalue():
            _write(Path(name).expanduser(), content)


def write_bytes(content: bytes) -> None:
    """Print bytes. Raises Refused if stdout is a terminal."""
    if sys.stdout.isatty():
        raise Refused(
            "a picture is not printed on a terminal", fix="invoke report --format png --output report.png"
        )
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _write(path: Path, content: bytes) -> None:
    from launch.atomic_write import new_file

    try:
        with new_file(path) as stream:
            stream.write(content)
    except OSError as error:
        raise Failed(
            f"cannot write '{path}'", why=error.strerror or str(error), fix="--output FILE in another folder"
        ) from None
