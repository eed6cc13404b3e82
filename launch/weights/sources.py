"""Where a model's bytes come from: a Hub, a bundle, a folder. All are read and proven the same way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

from errors import Failed
from launch.weights.manifest import Entry, Manifest
from launch.weights.network import Connections, origin
from launch.weights.patience import Transient
from launch.weights.ranges import Answered, Body, follow, span_of


class Reader(Protocol):
    """Bytes on their way. `position` counts from the file's start, `end` is exclusive."""

    position: int
    end: int

    def readinto(self, view: memoryview) -> int:
        """Read some bytes, at least one. Raises Transient where none come any more."""

    def close(self) -> None:
        """Done with it."""


class Source(Protocol):
    """A place that has a model."""

    def manifest(self, revision: str) -> Manifest:
        """What there is at a revision. Raises Failed or Refused where it cannot be had."""

    def open(self, entry: Entry, first: int, end: int, connections: Connections) -> Reader:
        """The bytes from `first` to `end`. A reader that starts earlier means that ranges are ignored."""


@dataclass
class HubFiles:
    """The files of one commit on a Hub. A storage address is asked for once a file, and when it fails."""

    endpoint: str
    model: str
    commit: str
    token: str = field(default="", repr=False)
    _moved: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, entry: Entry, first: int, end: int, connections: Connections) -> Body:
        """GET the range, at the storage address if it is known."""
        asked = f"{self.endpoint}/{self.model}/resolve/{self.commit}/{quote(entry.path)}"
        known = self._moved.pop(entry.blob, asked)
        ranged = {"Range": f"bytes={first}-{end - 1}"} if (first, end) != (0, entry.size) else {}
        try:
            connection, response, where = follow(
                connections, known, ranged, self.token, origin(self.endpoint)
            )
        except Answered as answer:
            raise self._verdict(entry, answer) from answer
        position, stop = span_of(response, entry.size)
        if where != asked:
            self._moved[entry.blob] = where
        return Body(connection, response, position, stop)

    def _verdict(self, entry: Entry, answer: Answered) -> Exception:
        """What an answer without bytes means: Transient where the address has expired, else Failed."""
        if origin(answer.url) != origin(self.endpoint):
            return Transient(
                f"the storage refuses {entry.path} with {answer.status}: the address has expired"
            )
        if answer.status == 416:
            return Transient(f"the server has fewer bytes of {entry.path} than it listed")
        return refusal(self.model, answer.status, answer.headers.get("X-Error-Code") or "", entry.path)


def refusal(model: str, status: int, code: str, path: str = "") -> Failed:
    """A Hub's no, in words that say what to do."""
    what = f"{model}{': ' + path if path else ''}"
    if code == "GatedRepo" or (status == 403 and not code):
        return Failed(
            f"{what} is gated: this account has no access",
            why=f"the Hub answered {status}",
            fix=f"accept the licence on the model's page (/{model}), then invoke login and fetch again",
        )
    if status == 401 or code == "RepoNotFound":
        return Failed(
            f"{what} is not there, or it is private",
            why=f"the Hub answered {status}",
            fix="check the name; for a private model invoke login",
        )
    if code in ("RevisionNotFound", "EntryNotFound") or status == 404:
        return Failed(f"{what} is not there", why=f"the Hub answered {status} {code}", fix="check --revision")
    return Failed(f"{what}: the Hub refuses it", why=f"it answered {status} {code}".strip())


@dataclass
class FileReader:
    """Part of a file on this host."""

    stream: BinaryIO
    position: int
    end: int

    def readinto(self, view: memoryview) -> int:
        """Read some bytes."""
        count: int = self.stream.readinto(view[: self.end - self.position])  # type: ignore[attr-defined]
        if count == 0:
            raise Failed(f"{self.stream.name} is too short", fix="make the bundle, or copy it, again")
        self.position += count
        return count

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


def read_part(path: Path, offset: int, first: int, end: int) -> FileReader:
    """Bytes `first` to `end` of what begins at `offset` in a file."""
    stream = path.open("rb", buffering=0)
    stream.seek(offset + first)
    return FileReader(stream, first, end)
