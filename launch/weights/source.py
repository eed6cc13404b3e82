"""What every source of a model's files offers, and reading from files on this host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from errors import Failed
from launch.http.pool import ConnectionPool
from launch.weights.manifest import Entry, Manifest


class Reader(Protocol):
    """Part of a file that is being read. `position` counts from the start of the file, `end` is exclusive."""

    position: int
    end: int

    def readinto(self, view: memoryview) -> int:
        """Read at least one byte. Raises TransientError if no more arrive."""

    def close(self) -> None:
        """Stop reading."""


class Source(Protocol):
    """A place that has a model: a Hub, a bundle, a folder."""

    def manifest(self, revision: str) -> Manifest:
        """Return the files at a revision. Raises Failed or Refused."""

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Reader:
        """Read bytes `first` to `end` of a file. A reader that starts earlier means that ranges are ignored."""


@dataclass
class FileReader:
    """Part of a file on this host."""

    stream: BinaryIO
    position: int
    end: int

    def readinto(self, view: memoryview) -> int:
        """Read some bytes. Raises Failed if the file ends or cannot be read."""
        try:
            count: int = self.stream.readinto(view[: self.end - self.position])  # type: ignore[attr-defined]
        except OSError as error:
            raise unreadable(Path(self.stream.name), error) from error
        if count == 0:
            raise Failed(f"{self.stream.name} is too short", fix="make the bundle, or copy it, again")
        self.position += count
        return count

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


def read_part(path: Path, offset: int, first: int, end: int) -> FileReader:
    """Read bytes `first` to `end` of what begins at `offset` in a file. Raises Failed if there is no such file."""
    if not path.is_file():  # opening a pipe could wait forever
        raise Failed(f"{path} is missing, or not a file", fix="make the bundle, or copy it, again")
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(path, error) from error
    stream.seek(offset + first)
    return FileReader(stream, first, end)


def unreadable(path: Path, error: OSError) -> Failed:
    """Return the error for a source's file that cannot be read."""
    return Failed(f"{path} cannot be read", why=str(error), fix="check its disk and its permissions")
