"""One stream: brings spans of files over one connection at a time, and tries again when it breaks."""

from __future__ import annotations

import mmap
import threading
import time

from errors import Failed
from launch.http.pool import ConnectionPool
from launch.http.retry import RetryPolicy, Transient
from launch.weights.hashing import PIECE
from launch.weights.manifest import Entry
from launch.weights.progress import TransferProgress
from launch.weights.sources.source import Reader, Source
from launch.weights.transfer.file_download import SPAN, FileDownload, Span, Superseded


class Stream:
    """Brings one span after another. Only `check` and `abort` may be called from another thread."""

    def __init__(
        self, source: Source, patience: RetryPolicy, meter: TransferProgress, stop: threading.Event
    ) -> None:
        self._source, self._patience, self._meter, self._stop = source, patience, meter, stop
        self._connections = ConnectionPool(patience)
        self._buffer = memoryview(mmap.mmap(-1, SPAN))  # memory only where it is used
        self._body: Reader | None = None
        self._of: Entry | None = None
        self._failures = self._gained = 0
        self._listening = False
        self._heard, self._heard_at = 0, time.monotonic()

    def bring(self, download: FileDownload, span: Span) -> None:
        """Bring one span and land it. Raises Superseded, or Failed when patience is at its end."""
        got = written = landed = span.first
        while landed < span.last:
            if self._stop.is_set():
                raise Superseded
            if written > landed:
                landed = self._hash(download, span, landed, written)
            elif download.may_write(span, written) and (got - written >= PIECE or got == span.last):
                self._listening = False
                download.write(span, self._buffer[: got - landed])
                written = got
            elif got < span.last and download.has_room(got):
                # The buffer begins at the byte that is to land next: a stream in its turn uses little of it,
                # and what it uses is still in the processor's cache when it is written and hashed.
                view = self._buffer[got - landed : min(span.last, got + PIECE) - landed]
                got += self._receive(download, span, got, view)
            else:
                self._listening = False
                download.wait_room() if got < span.last else download.wait_turn(span, written)
        self._failures = self._gained = 0  # what is whole counts as progress, be it ever so small

    def _hash(self, download: FileDownload, span: Span, landed: int, written: int) -> int:
        """Hash what was written, in its turn; up to which byte the file has landed."""
        if not download.may_hash(span, landed):
            download.wait_turn(span, landed)
            return landed
        download.hash(span, self._buffer[: written - landed])
        return written

    def check(self) -> None:
        """Cut a connection that has brought next to nothing for too long."""
        quiet = time.monotonic() - self._heard_at
        if self._listening and quiet > self._patience.silence:
            self._heard_at = time.monotonic()
            self._connections.abort()

    def abort(self) -> None:
        """Let the thread return at once, for good."""
        self._connections.abort(for_good=True)

    def close(self) -> None:
        """Close the connections."""
        self._hang_up()
        self._connections.close()

    def _receive(self, download: FileDownload, span: Span, at: int, view: memoryview) -> int:
        """Some bytes of the span into `view`; 0 after a failure that was waited out."""
        self._listen()
        try:
            count = self._at(download, span, at).readinto(view)
        except Transient as trouble:
            self._hang_up()
            self._pause(download.entry, trouble)
            return 0
        self._gain(count)
        return count

    def _at(self, download: FileDownload, span: Span, at: int) -> Reader:
        """The open body if it goes on at this byte, else a new one."""
        body = self._body
        if body is None or self._of is not download.entry or body.position != at or body.position >= body.end:
            self._hang_up()
            # Alone with a file, one request brings all of it; with others, each asks for its own part.
            end = download.entry.size if download.streams == 1 else span.last
            body = self._source.open(download.entry, at, end, self._connections)
            self._body, self._of = body, download.entry
        if body.position > at:
            raise Transient(f"the server answers from byte {body.position} where {at} was asked for")
        if body.position < at:
            self._skip(download, body, at)
        return body

    def _skip(self, download: FileDownload, body: Reader, at: int) -> None:
        """Read past what is here already, where a server ignores ranges; one stream alone does that."""
        if not download.solo:
            download.go_solo()
            raise Superseded
        waste = memoryview(bytearray(PIECE))
        while body.position < at and not self._stop.is_set():
            self._gain(body.readinto(waste[: at - body.position]), progress=False)

    def _listen(self) -> None:
        """From now on silence counts."""
        if not self._listening:
            self._heard, self._heard_at, self._listening = 0, time.monotonic(), True

    def _gain(self, count: int, progress: bool = True) -> None:
        self._heard += count
        if self._heard >= self._patience.floor:
            self._heard, self._heard_at = 0, time.monotonic()
        self._gained += count if progress else 0
        if self._gained >= self._patience.progress:
            self._failures = self._gained = 0

    def _pause(self, entry: Entry, trouble: Transient) -> None:
        """Wait before the next try. Raises Failed when there is to be none."""
        self._listening = False
        self._failures, self._gained = self._failures + 1, 0
        seconds = self._patience.wait(self._failures, trouble)
        if seconds is None:
            raise Failed(
                f"{entry.path}: gave up after {counted(self._failures)}",
                why=trouble.reason,
                fix="run the same command again later: what has come is kept",
            )
        self._meter.trouble = f"{trouble.reason}; trying again in {seconds:.0f} s"
        self._stop.wait(seconds)

    def _hang_up(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def counted(failures: int) -> str:
    """`1 failure`, `9 failures in a row`."""
    return f"{failures} failures in a row" if failures > 1 else "1 failure"
