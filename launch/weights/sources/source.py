"""Where a model's bytes come from: a Hub, a bundle, a folder. All are read and proven the same way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

from errors import Failed
from launch.http.pool import ConnectionPool
from launch.http.ranges import Answered, Body, follow, span_of
from launch.http.retry import Transient
from launch.http.url import authorization, origin, printable
from launch.weights.manifest import Entry, Manifest


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

    def open(self, entry: Entry, first: int, end: int, connections: ConnectionPool) -> Reader:
        """The bytes from `first` to `end`. A reader that starts earlier means that ranges are ignored."""


@dataclass
class HubFiles:
    """The files of one commit on a Hub. A storage address is asked for once a file, and when it fails."""

    endpoint: str
    model: str
    commit: str
    token: str = field(default="", repr=False)
    _moved: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, entry: Entry, first: int, end: int, connections: ConnectionPool) -> Body:
        """GET the range, at the storage address if it is known."""
        asked = f"{self.endpoint}/{self.model}/resolve/{self.commit}/{quote(entry.path)}"
        known = self._moved.pop(entry.blob, asked)
        ranged = {"Range": f"bytes={first}-{end - 1}"} if (first, end) != (0, entry.size) else {}
        try:
            connection, response, where = follow(
                connections, known, ranged, authorization(self.endpoint, self.token), origin(self.endpoint)
            )
        except Answered as answer:
            raise self._verdict(entry, answer, answer.url != asked) from answer
        position, stop = span_of(response, entry.size)
        if where != asked:
            self._moved[entry.blob] = where
        return Body(connection, response, position, stop)

    def _verdict(self, entry: Entry, answer: Answered, redirected: bool) -> Exception:
        """What an answer without bytes means: Transient where the address may have expired, else Failed."""
        if answer.status == 416:
            return Transient(f"the server has fewer bytes of {entry.path} than it listed")
        code = answer.headers.get("X-Error-Code") or ""
        # The Hub itself says why it refuses; a storage, which may be on the same host, does not.
        if origin(answer.url) != origin(self.endpoint) or (redirected and not code):
            why = "the address has expired" if answer.status in (400, 401, 403, 404, 410) else "no bytes"
            return Transient(f"the storage answers {answer.status} for {entry.path}: {why}")
        if "is disabled" in (answer.headers.get("X-Error-Message") or ""):
            code = code or "DisabledRepo"
        if answer.status == 401 and self.token and not code:
            return rejected(f"{self.model}: {entry.path}")
        return refusal(self.model, answer.status, code, entry.path)


def rejected(what: str) -> Failed:
    """A token that the Hub does not take, or takes no longer."""
    return Failed(
        f"{what}: the Hub does not take the token",
        why="it answered 401: the token is wrong, or has expired, or was withdrawn",
        fix="invoke login, or set HF_TOKEN, then run the same command again: what has come is kept",
    )


def refusal(model: str, status: int, code: str, path: str = "") -> Failed:
    """A Hub's no, in words that say what to do."""
    what, code = f"{model}{': ' + path if path else ''}", printable(code)[:40]
    if code == "GatedRepo":
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
        why = f"the Hub answered {status} {code}".strip()
        return Failed(f"{what} is not there", why=why, fix="check --revision")
    if code == "DisabledRepo":
        why = f"the Hub answered {status} {code}"
        return Failed(f"{what} is disabled: nobody can have it", why=why, fix="choose another model")
    return Failed(
        f"{what}: the Hub refuses it",
        why=f"it answered {status} {code}".strip(),
        fix="if the model is gated, accept its licence; check the token (invoke login), HF_ENDPOINT and the proxy",
    )


@dataclass
class FileReader:
    """Part of a file on this host."""

    stream: BinaryIO
    position: int
    end: int

    def readinto(self, view: memoryview) -> int:
        """Read some bytes."""
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
    """Bytes `first` to `end` of what begins at `offset` in a file. Raises Failed where there is no such file."""
    if not path.is_file():  # a pipe would never end, or never begin
        raise Failed(f"{path} is missing, or no file", fix="make the bundle, or copy it, again")
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(path, error) from error
    stream.seek(offset + first)
    return FileReader(stream, first, end)


def unreadable(path: Path, error: OSError) -> Failed:
    """A source's file that cannot be read."""
    return Failed(f"{path} cannot be read", why=str(error), fix="check its disk and its permissions")
