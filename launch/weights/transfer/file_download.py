"""One file's download by several workers: bytes are written, then hashed, in the file's order.

One worker hashes while the next one writes, since hashing alone takes about as long as everything else. The
partial file is always a prefix of the whole one (`partial_file.py`). At most SPAN bytes per worker are received
and not yet forced to disk, in this process or in the kernel.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launch.weights.cache import ModelFolder
from launch.weights.hashing import PIECE, Digest
from launch.weights.manifest import Entry
from launch.weights.transfer import partial_file
from launch.weights.transfer.flusher import Flusher

SPAN = 8 << 20


class Superseded(Exception):
    """The span is no longer wanted: the file starts again, or was given up."""


@dataclass(frozen=True)
class Span:
    """Bytes `first` to `last` (exclusive), for one worker."""

    first: int
    last: int
    generation: int


class FileDownload:
    """One locked file, from `open` to `publish`, `close` or `discard`."""

    def __init__(
        self,
        entry: Entry,
        folder: ModelFolder,
        count_bytes: Callable[[int], None],
        partial_files: list[Path] | None = None,
    ) -> None:
        self.entry = entry
        self.workers = 0  # how many have a span
        self.single_worker = False  # because the server ignores ranges
        self._folder, self._count_bytes = folder, count_bytes
        self._partial_files = partial_files or []  # partial files of this host and of others
        self._generation = 0
        self._finisher_found = False
        self._taken = self._written = self._hashed = 0
        self._turn = threading.Condition()
        self._digest = Digest(entry)
        self._file = -1
        self._flusher: Flusher | None = None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes hashed so far."""
        return self._digest.sha256

    @property
    def left(self) -> int:
        """Bytes that no worker has taken yet."""
        return self.entry.size - self._taken

    @property
    def needs_worker(self) -> bool:
        """Whether another worker would get a span."""
        return self.left > 0 and not (self.single_worker and self.workers)

    @property
    def hashed(self) -> int:
        """Bytes that are written and hashed."""
        return self._hashed

    @property
    def complete(self) -> bool:
        """Whether every byte is written and hashed."""
        return self._hashed == self.entry.size

    def claim_finish(self) -> bool:
        """Whether the file is complete and this is the first caller, who then finishes it."""
        with self._turn:
            first = self.complete and not self._finisher_found
            self._finisher_found = self._finisher_found or self.complete
            return first

    def open(self, stop: threading.Event) -> None:
        """Continue what an earlier fetch left, until `stop`. Raises OSError."""
        self._file, self._digest, self._hashed = partial_file.resume(
            self._folder, self.entry, self._partial_files, self._count_bytes, stop
        )
        self._taken = self._written = self._hashed
        self._flusher = Flusher(self._file, self._hashed)

    def take(self) -> Span | None:
        """Return the next bytes to fetch, or None if there are none for another worker."""
        with self._turn:
            if self.single_worker and not self.workers:
                self._taken = self._written = self._hashed
            if not self.needs_worker:
                return None
            span = Span(self._taken, min(self._taken + SPAN, self.entry.size), self._generation)
            self._taken = span.last
            self.workers += 1
            return span

    def release(self) -> None:
        """Return a span, finished or not."""
        with self._turn:
            self.workers -= 1

    def may_write(self, span: Span, position: int) -> bool:
        """Whether this byte is the next to write. Raises Superseded."""
        with self._turn:
            self._require_current(span)
            return position == self._written

    def may_hash(self, span: Span, position: int) -> bool:
        """Whether this byte is the next to hash. Raises Superseded."""
        with self._turn:
            self._require_current(span)
            return position == self._hashed

    def _require_current(self, span: Span) -> None:
        if span.generation != self._generation:
            raise Superseded

    def wait_turn(self, span: Span, position: int) -> None:
        """Wait a moment for the workers of the spans before, to write or hash the byte at `position`."""
        with self._turn:
            if span.generation == self._generation and position not in (self._written, self._hashed):
                self._turn.wait(0.2)

    def has_space(self, position: int) -> bool:
        """Whether the disk is close enough behind to receive from `position` on."""
        return position + PIECE - self._open_flusher.forced <= SPAN * max(1, self.workers)

    def wait_for_disk(self) -> None:
        """Wait a moment for the disk. Raises OSError if it fails."""
        self._open_flusher.wait()
        self._open_flusher.check()

    @property
    def _open_flusher(self) -> Flusher:
        assert self._flusher is not None, "`open` is called first"
        return self._flusher

    def write(self, span: Span, data: memoryview) -> None:
        """Write the next bytes; only after `may_write`. Raises OSError."""
        self._open_flusher.check()
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], self._written + done)
        with self._turn:
            self._written += done
            self._pass_turn(self._written == span.last)
        self._open_flusher.note(self._written)

    def hash(self, span: Span, data: memoryview) -> None:
        """Hash the next written bytes; only after `may_hash`."""
        self._digest.update(data)
        with self._turn:
            self._hashed += len(data)
            self._pass_turn(self._hashed == span.last)
        self._count_bytes(len(data))

    def _pass_turn(self, at_end: bool) -> None:
        """Wake the others only at the end of a span, because a worker keeps its turn until then."""
        if at_end:
            self._turn.notify_all()

    def use_single_worker(self) -> None:
        """Fetch the rest with one worker, from the last hashed byte on; the others drop their spans."""
        with self._turn:
            self.single_worker = True
            self._generation += 1
            self._turn.notify_all()

    def matches(self) -> bool:
        """Whether the file is complete and has the listed hash."""
        return self.complete and self._digest.matches()

    def restart(self) -> None:
        """Delete what was received, because it is wrong."""
        self._stop_flushing()
        os.ftruncate(self._file, 0)
        self._flusher = Flusher(self._file, 0)
        self._count_bytes(-self._hashed)
        self._digest = Digest(self.entry)
        with self._turn:
            self._taken = self._written = self._hashed = 0
            self._finisher_found = False

    def publish(self) -> os.stat_result:
        """Rename the partial file to the blob, once it is on disk; return the blob's state. Raises OSError."""
        self._open_flusher.finish()
        status = os.fstat(self._file)
        self.close()
        blob = self._folder.blobs / self.entry.blob
        try:
            partial_file.own(self._folder, self.entry.blob).rename(blob)
        except FileNotFoundError:
            # Locks that do not work: another host published the same bytes and removed this partial file.
            status = blob.stat()
            if status.st_size != self.entry.size:
                raise
        partial_file.remove(self._partial_files)
        return status

    def close(self) -> None:
        """Close the partial file and keep it, without the bytes that a failing disk may not have."""
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
        """Close the partial file and delete it."""
        self.close()
        partial_file.own(self._folder, self.entry.blob).unlink(missing_ok=True)
