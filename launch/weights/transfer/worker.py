"""One worker: fetches spans of files, one connection at a time, and retries when a connection breaks."""

from __future__ import annotations

import mmap
import threading
import time

from errors import Failed
from launch.http.pool import ConnectionPool
from launch.http.retry import RetryPolicy, TransientError
from launch.weights.hashing import PIECE
from launch.weights.manifest import Entry
from launch.weights.progress import TransferProgress
from launch.weights.source import Reader, Source
from launch.weights.transfer.file_download import SPAN, FileDownload, Span, Superseded
from launch.weights.transfer.rate_limit import RateLimit


class Worker:
    """Fetches one span after another. Other threads may only call `check` and `abort`."""

    def __init__(
        self,
        source: Source,
        policy: RetryPolicy,
        progress: TransferProgress,
        stop: threading.Event,
        limit: RateLimit | None = None,
    ) -> None:
        self._limit = limit
        self._source, self._policy, self._progress, self._stop = source, policy, progress, stop
        self._pool = ConnectionPool(policy)
        self._buffer = memoryview(mmap.mmap(-1, SPAN))  # takes memory only where it is used
        self._body: Reader | None = None
        self._entry: Entry | None = None  # whose body it is
        self._failures = self._bytes_since_failure = 0
        self._receiving = False
        self._received, self._received_at = 0, time.monotonic()  # since the last `read_minimum` bytes

    def fetch(self, download: FileDownload, span: Span) -> None:
        """Receive, write and hash one span. Raises Superseded, or Failed when the retries are used up."""
        received = written = hashed = span.first
        while hashed < span.last:
            if self._stop.is_set():
                raise Superseded
            if written > hashed:
                hashed = self._hash(download, span, hashed, written)
            elif download.may_write(span, written) and (received - written >= PIECE or received == span.last):
                self._receiving = False
                download.write(span, self._buffer[: received - hashed])
                written = received
            elif received < span.last and download.has_space(received):
                # The buffer begins at the byte to hash next: a worker that has its turn uses little of it,
                # and what it uses is still in the processor's cache when it is written and hashed.
                view = self._buffer[received - hashed : min(span.last, received + PIECE) - hashed]
                count = self._receive(
                    download, span, received, view[: self._limit.most] if self._limit else view
                )
                received += count
                self._keep_limit(count)
            else:
                self._receiving = False
                download.wait_for_disk() if received < span.last else download.wait_turn(span, written)
        self._failures = self._bytes_since_failure = 0  # a complete span is progress, however small

    def _keep_limit(self, count: int) -> None:
        if self._limit and count:
            self._receiving = False  # the wait is not the server's silence
            self._limit.spend(count, self._stop)

    def _hash(self, download: FileDownload, span: Span, hashed: int, written: int) -> int:
        """Hash what was written if it is its turn; return up to which byte the file is hashed."""
        if not download.may_hash(span, hashed):
            download.wait_turn(span, hashed)
            return hashed
        download.hash(span, self._buffer[: written - hashed])
        return written

    def check(self) -> None:
        """Cut a connection that has brought less than the minimum for too long."""
        silence = time.monotonic() - self._received_at
        if self._receiving and silence > self._policy.read_timeout:
            self._received_at = time.monotonic()
            self._pool.abort()

    def abort(self) -> None:
        """Let the worker's thread return at once, for good."""
        self._pool.abort(for_good=True)

    def close(self) -> None:
        """Close the connections."""
        self._close_body()
        self._pool.close()

    def _receive(self, download: FileDownload, span: Span, position: int, view: memoryview) -> int:
        """Receive some bytes of the span; return their number, 0 after a failure and the wait for the next try."""
        self._start_receiving()
        try:
            count = self._body_at(download, span, position).readinto(view)
        except TransientError as error:
            self._close_body()
            self._wait_to_retry(download.entry, error)
            return 0
        self._count(count)
        return count

    def _body_at(self, download: FileDownload, span: Span, position: int) -> Reader:
        """Return the open body if it continues at this byte, else a new one."""
        body, entry = self._body, download.entry
        if body is None or self._entry is not entry or body.position != position or body.position >= body.end:
            self._close_body()
            # A worker that is alone on a file requests all of it; several request their own spans.
            end = entry.size if download.workers == 1 else span.last
            body = self._source.open(entry, position, end, self._pool)
            self._body, self._entry = body, entry
        if body.position > position:
            raise TransientError(f"the response starts at byte {body.position}, the request at {position}")
        if body.position < position:
            self._skip(download, body, position)
        return body

    def _skip(self, download: FileDownload, body: Reader, position: int) -> None:
        """Read past what is here already if a server ignores ranges; only a single worker does that."""
        if not download.single_worker:
            download.use_single_worker()
            raise Superseded
        skipped = memoryview(bytearray(PIECE))
        while body.position < position and not self._stop.is_set():
            self._count(body.readinto(skipped[: position - body.position]), is_progress=False)

    def _start_receiving(self) -> None:
        """Measure silence from now on."""
        if not self._receiving:
            self._received, self._received_at, self._receiving = 0, time.monotonic(), True

    def _count(self, count: int, is_progress: bool = True) -> None:
        self._received += count
        if self._received >= self._policy.read_minimum:
            self._received, self._received_at = 0, time.monotonic()
        self._bytes_since_failure += count if is_progress else 0
        if self._bytes_since_failure >= self._policy.progress_bytes:
            self._failures = self._bytes_since_failure = 0

    def _wait_to_retry(self, entry: Entry, error: TransientError) -> None:
        """Wait before the next try. Raises Failed if there is none."""
        self._receiving = False
        self._failures, self._bytes_since_failure = self._failures + 1, 0
        seconds = self._policy.wait(self._failures, error)
        if seconds is None:
            failures = f"{self._failures} failures in a row" if self._failures > 1 else "1 failure"
            raise Failed(
                f"{entry.path}: gave up after {failures}",
                why=error.reason,
                fix="run the same command again later; finished parts are kept",
            )
        self._progress.trouble = f"{error.reason}; trying again in {seconds:.0f} s"
        self._stop.wait(seconds)

    def _close_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
