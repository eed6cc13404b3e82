"""One file coming down: bytes arrive on several streams, and reach disk and hash in the file's order.

The partial file is always a prefix of the whole one, so its length is the journal: what a killed fetch or a
host without power leaves behind is hashed again and continued. Data is forced to disk every SPAN bytes,
which is also the most that one stream holds in memory.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launch.weights.cache import Place
from launch.weights.manifest import Entry
from launch.weights.proof import PIECE, Digest

SPAN = 8 << 20


class Superseded(Exception):
    """The span is no longer wanted: the file starts again, or was given up."""


@dataclass(frozen=True)
class Span:
    """Bytes `first` to `last` (exclusive), to be brought by one stream."""

    first: int
    last: int
    generation: int


class Landing:
    """One file under its lock, from `open` to `publish` or `leave`."""

    def __init__(self, entry: Entry, place: Place, note: Callable[[int], None]) -> None:
        self.entry = entry
        self.streams = 0  # how many hold a span
        self.solo = False  # one stream only, because the server ignores ranges
        self._place, self._note = place, note
        self._generation = 0
        self._claimed = False
        self._taken = self._landed = self._synced = 0
        self._turn = threading.Condition()
        self._disk = threading.Lock()  # nobody closes the file while another forces it to disk
        self._digest = Digest(entry)
        self._file = -1

    @property
    def partial(self) -> Path:
        """This host's partial file. Another host has its own, so that broken locks cost time, not bytes."""
        return self._place.blobs / f"{self.entry.blob}.slipway-{socket.gethostname()[:60]}.incomplete"

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

    def open(self) -> None:
        """Continue what an earlier fetch left, hashing it on the way."""
        self._adopt()
        self._file = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if os.fstat(self._file).st_size > self.entry.size:
            os.ftruncate(self._file, 0)
        buffer = memoryview(bytearray(PIECE))
        while count := os.preadv(self._file, [buffer], self._landed):
            self._digest.update(buffer[:count])
            self._landed += count
            self._note(count)
        self._taken = self._synced = self._landed

    def _adopt(self) -> None:
        """Take over another host's partial file; a copy, because that host may still be writing it."""
        if self.partial.exists():
            return
        for other in self._partials():
            temporary = self.partial.with_suffix(".copy")
            with other.open("rb") as source, temporary.open("wb") as copy:
                while data := source.read(PIECE):
                    copy.write(data)
            temporary.rename(self.partial)
            return

    def _partials(self) -> list[Path]:
        return sorted(self._place.blobs.glob(f"{self.entry.blob}.slipway-*.incomplete"))

    def take(self) -> Span | None:
        """The next bytes to bring, None where there are none for a further stream."""
        with self._turn:
            if self.solo and not self.streams:
                self._taken = self._landed
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

    def is_turn(self, span: Span, at: int) -> bool:
        """Whether the byte at `at` is the next to land. Raises Superseded."""
        with self._turn:
            if span.generation != self._generation:
                raise Superseded
            return at == self._landed

    def wait_turn(self, span: Span, at: int) -> None:
        """Wait a moment for the streams before this one. Raises Superseded."""
        with self._turn:
            if span.generation == self._generation and at != self._landed:
                self._turn.wait(0.2)

    def land(self, data: memoryview) -> None:
        """Hash and write the next bytes; only the stream whose turn it is may call this."""
        self._digest.update(data)
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], self._landed + done)
        with self._turn:
            self._landed += done
            self._turn.notify_all()
        self._note(done)

    def sync(self) -> None:
        """Force to disk what has landed, once it is SPAN bytes; the other streams go on meanwhile."""
        with self._turn:
            if self._landed - self._synced < SPAN or self.whole:
                return
            self._synced = self._landed
        with self._disk:
            if self._file >= 0:
                os.fdatasync(self._file)

    def go_solo(self) -> None:
        """Bring the rest on one stream, from what has landed on."""
        self._supersede(solo=True)

    def give_up(self) -> None:
        """Let every stream drop its span."""
        self._supersede(solo=self.solo)

    def _supersede(self, solo: bool) -> None:
        with self._turn:
            self.solo = solo
            self._generation += 1
            self._turn.notify_all()

    def proves(self) -> bool:
        """Whether all of it landed and is what the listing promised."""
        return self.whole and self._digest.proves()

    def restart(self) -> None:
        """Throw away what landed, because it is wrong."""
        os.ftruncate(self._file, 0)
        self._note(-self._landed)
        self._digest = Digest(self.entry)
        with self._turn:
            self._taken = self._landed = self._synced = 0
            self._claimed = False

    def publish(self) -> None:
        """Make it the blob: on disk first, then under its name, in one step."""
        os.fsync(self._file)
        self.leave()
        try:
            self.partial.rename(self._place.blobs / self.entry.blob)
        except FileNotFoundError:
            # Locks that do not lock: another host published the same bytes and cleared this away.
            if (self._place.blobs / self.entry.blob).stat().st_size != self.entry.size:
                raise
        for other in self._partials():
            other.unlink(missing_ok=True)

    def leave(self) -> None:
        """Close the partial file; it stays for the next time."""
        with self._disk:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def discard(self) -> None:
        """Close it and throw it away."""
        self.leave()
        self.partial.unlink(missing_ok=True)
