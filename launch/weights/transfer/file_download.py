"""One file coming down: bytes arrive on several streams, and reach first the disk, then the hash, in its order.

One stream hashes while the next one writes, since hashing alone takes about as long as all else. The partial
file is always a prefix of the whole one, so its length is the journal: what a killed fetch or a host without
power leaves behind is hashed again and continued. At most SPAN bytes a stream have come and are not forced to
disk, be they in memory or in the kernel's.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launch.weights.cache import Place
from launch.weights.hashing import PIECE, Digest
from launch.weights.manifest import Entry
from launch.weights.transfer import partial_file
from launch.weights.transfer.flusher import Flusher

SPAN = 8 << 20


class Superseded(Exception):
    """The span is no longer wanted: the file starts again, or was given up."""


@dataclass(frozen=True)
class Span:
    """Bytes `first` to `last` (exclusive), to be brought by one stream."""

    first: int
    last: int
    generation: int


class FileDownload:
    """One file under its lock, from `open` to `publish` or `leave`."""

    def __init__(
        self, entry: Entry, place: Place, note: Callable[[int], None], known: list[Path] | None = None
    ) -> None:
        self.entry = entry
        self.streams = 0  # how many hold a span
        self.solo = False  # one stream only, because the server ignores ranges
        self._place, self._note = place, note
        self._known = known or []  # partial files that this host or others left
        self._generation = 0
        self._claimed = False
        self._taken = self._written = self._landed = 0
        self._turn = threading.Condition()
        self._digest = Digest(entry)
        self._file = -1
        self._flusher: Flusher | None = None

    @property
    def sha256(self) -> str:
        """The sha256 of what has landed."""
        return self._digest.sha256

    @property
    def left(self) -> int:
        """Bytes that no stream has taken yet."""
        return self.entry.size - self._taken

    @property
    def helpable(self) -> bool:
        """Whether a further stream would get a span."""
        return self.left > 0 and not (self.solo and self.streams)

    @property
    def landed(self) -> int:
        """Bytes that are on disk and hashed."""
        return self._landed

    @property
    def whole(self) -> bool:
        """Whether every byte has landed."""
        return self._landed == self.entry.size

    def claim(self) -> bool:
        """Whether the file is whole and this caller the first to ask: the one who finishes it."""
        with self._turn:
            first, self._claimed = self.whole and not self._claimed, self._claimed or self.whole
            return first

    def open(self, stop: threading.Event) -> None:
        """Continue what an earlier fetch left, hashing it on the way, until `stop`."""
        self._file = partial_file.open_own(self._place, self.entry.blob, self.entry.size, self._known)
        buffer = memoryview(bytearray(PIECE))
        while not stop.is_set() and (count := os.preadv(self._file, [buffer], self._landed)):
            self._digest.update(buffer[:count])
            self._landed += count
            self._note(count)
        if self._landed:
            os.fdatasync(self._file)  # whoever left it may have been killed before the disk had it
        self._taken = self._written = self._landed
        self._flusher = Flusher(self._file, self._landed)

    def take(self) -> Span | None:
        """The next bytes to bring, None where there are none for a further stream."""
        with self._turn:
            if self.solo and not self.streams:
                self._taken = self._written = self._landed
            if not self.left or (self.solo and self.streams):
                return None
            span = Span(self._taken, min(self._taken + SPAN, self.entry.size), self._generation)
            self._taken = span.last
            self.streams += 1
            return span

    def release(self) -> None:
        """A stream has done with its span."""
        with self._turn:
            self.streams -= 1

    def may_write(self, span: Span, at: int) -> bool:
        """Whether the byte at `at` is the next to write. Raises Superseded."""
        with self._turn:
            self._check(span)
            return at == self._written

    def may_hash(self, span: Span, at: int) -> bool:
        """Whether the byte at `at` is the next to hash. Raises Superseded."""
        with self._turn:
            self._check(span)
            return at == self._landed

    def _check(self, span: Span) -> None:
        if span.generation != self._generation:
            raise Superseded

    def wait_turn(self, span: Span, at: int) -> None:
        """Wait a moment for the streams before this one, to write or to hash the byte at `at`."""
        with self._turn:
            if span.generation == self._generation and at not in (self._written, self._landed):
                self._turn.wait(0.2)

    def has_room(self, at: int) -> bool:
        """Whether the disk is near enough behind to receive from the byte at `at` on."""
        return at + PIECE - self._behind.forced <= SPAN * max(1, self.streams)

    def wait_room(self) -> None:
        """Wait a moment for the disk. Raises OSError where it fails."""
        self._behind.wait()
        self._behind.check()

    @property
    def _behind(self) -> Flusher:
        assert self._flusher is not None, "it is open"
        return self._flusher

    def write(self, span: Span, data: memoryview) -> None:
        """Write the next bytes; only the stream that may write calls this. Raises OSError."""
        self._behind.check()
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], self._written + done)
        with self._turn:
            self._written += done
            self._pass_on(self._written == span.last)
        self._behind.note(self._written)

    def hash(self, span: Span, data: memoryview) -> None:
        """Hash the next bytes, which are written; only the stream that may hash calls this."""
        self._digest.update(data)
        with self._turn:
            self._landed += len(data)
            self._pass_on(self._landed == span.last)
        self._note(len(data))

    def _pass_on(self, at_end: bool) -> None:
        """Wake the others where it can be the turn of one of them: a stream keeps its turn to its span's end."""
        if at_end:
            self._turn.notify_all()

    def go_solo(self) -> None:
        """Bring the rest on one stream, from what has landed on; the others drop their spans."""
        with self._turn:
            self.solo = True
            self._generation += 1
            self._turn.notify_all()

    def proves(self) -> bool:
        """Whether all of it landed and is what the listing promised."""
        return self.whole and self._digest.proves()

    def restart(self) -> None:
        """Throw away what landed, because it is wrong."""
        self._stop_flushing()
        os.ftruncate(self._file, 0)
        self._flusher = Flusher(self._file, 0)
        self._note(-self._landed)
        self._digest = Digest(self.entry)
        with self._turn:
            self._taken = self._written = self._landed = 0
            self._claimed = False

    def publish(self) -> None:
        """Make it the blob: on disk first, then under its name, in one step. Raises OSError."""
        self._behind.finish()
        self.leave()
        blob = self._place.blobs / self.entry.blob
        try:
            partial_file.own(self._place, self.entry.blob).rename(blob)
        except FileNotFoundError:
            # Locks that do not lock: another host published the same bytes and cleared this away.
            if blob.stat().st_size != self.entry.size:
                raise
        for other in self._known:
            other.unlink(missing_ok=True)

    def leave(self) -> None:
        """Close the partial file; it stays for the next time, without what a failing disk may not have."""
        self._stop_flushing()
        if self._file >= 0:
            if self._flusher is not None and self._flusher.failed:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._flusher.forced)
            os.close(self._file)
            self._file = -1

    def _stop_flushing(self) -> None:
        if self._flusher is not None:
            self._flusher.close()

    def discard(self) -> None:
        """Close it and throw it away."""
        self.leave()
        partial_file.own(self._place, self.entry.blob).unlink(missing_ok=True)
