"""Bring many files at once: which stream works on which file, and what becomes of a file that is here.

Every stream takes a file of its own while there are files to take; then it helps with the one that has most
left. A file that another process is fetching is left to it, and looked at again later.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from errors import Failed, SlipwayError
from launch.http.pool import NO_MORE_FILES
from launch.http.retry import RetryPolicy
from launch.weights.cache import Place
from launch.weights.hashing import prove, proven
from launch.weights.manifest import Entry
from launch.weights.progress import TransferProgress
from launch.weights.sources.source import Source
from launch.weights.transfer import partial_file
from launch.weights.transfer.blob_lock import Locks
from launch.weights.transfer.file_download import FileDownload, Superseded
from launch.weights.transfer.worker import Stream

STREAMS = 8
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP)
LOOK_AGAIN = 0.3  # seconds until a file that another process has is looked at again


@dataclass
class Outcome:
    """What came of it: entries proven to the byte, names that stayed wrong, bytes over the wire."""

    proven: list[Entry] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    fetched: int = 0


class Transfer:
    """Brings blobs into a cache. One use: make it, call `run`."""

    def __init__(
        self,
        source: Source,
        place: Place,
        meter: TransferProgress,
        patience: RetryPolicy,
        streams: int = STREAMS,
    ) -> None:
        self._place, self._meter = place, meter
        self._stop = threading.Event()
        self._streams = [Stream(source, patience, meter, self._stop) for _ in range(streams)]
        self._change = threading.Condition()
        self._partials = partial_file.found(place)
        self._queue: deque[Entry] = deque()
        self._elsewhere: deque[tuple[float, Entry]] = deque()
        self._landings: list[FileDownload] = []
        self._locks = Locks(place)
        self._again: set[str] = set()
        self._open = 0  # entries that are neither done nor given up
        self.outcome = Outcome()
        self._error: BaseException | None = None

    def run(self, entries: Iterable[Entry], show: Callable[[TransferProgress], None]) -> Outcome:
        """Bring these, one entry a blob. `show` is called from this thread a few times a second.

        Raises Failed as soon as nothing more can be had; what has come stays for the next time.
        """
        self._queue.extend(sorted(entries, key=lambda entry: -entry.size))
        self._open = len(self._queue)
        threads = [threading.Thread(target=self._work, args=(one,), daemon=True) for one in self._streams]
        try:
            for thread in threads:
                thread.start()
            self._watch(threads, show)
        finally:
            self._end(threads)
        if self._error is not None:
            raise self._error
        return self.outcome

    def _watch(self, threads: list[threading.Thread], show: Callable[[TransferProgress], None]) -> None:
        while any(thread.is_alive() for thread in threads) and self._error is None:
            show(self._meter)
            self._locks.beat()
            for stream in self._streams:
                stream.check()
            with self._change:
                if self._open and self._error is None:
                    self._change.wait(0.2)
            if not self._open:
                for thread in threads:
                    thread.join()

    def _end(self, threads: list[threading.Thread]) -> None:
        """Stop within a second, whatever the network does; then let go of every file."""
        self._stop.set()
        for stream in self._streams:
            stream.abort()
        until = time.monotonic() + 0.8
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in threads):
            for download in self._landings:
                download.leave()
            self._locks.release_all()

    def _work(self, stream: Stream) -> None:
        """One stream's thread."""
        try:
            while (work := self._next()) is not None:
                download = self._begin(work) if isinstance(work, Entry) else work
                if download is not None:
                    self._carry(stream, download)
        except BaseException as error:
            with self._change:
                self._error = self._error or explained(error, self._place.cache)
                self._change.notify_all()
            self._stop.set()
        finally:
            stream.close()

    def _next(self) -> Entry | FileDownload | None:
        """A file that nobody has, else one to help with; None at the end."""
        while not self._stop.is_set():
            with self._change:
                if not self._open:
                    return None
                if self._elsewhere and self._elsewhere[0][0] <= time.monotonic():
                    self._queue.append(self._elsewhere.popleft()[1])
                if self._queue:
                    return self._queue.popleft()
                if helpable := [one for one in self._landings if one.helpable]:
                    return max(helpable, key=lambda one: one.left)
                self._change.wait(0.1)
        return None

    def _begin(self, entry: Entry) -> FileDownload | None:
        """Lock a file and open it; None where somebody else has it or it needs no bytes."""
        if other := self._locks.take(entry.blob):
            with self._change:
                self._elsewhere.append((time.monotonic() + LOOK_AGAIN, entry))
            self._meter.trouble = f"{other} is fetching {entry.path}"
            return None
        self._meter.begin(entry.path, entry.size)
        blob = self._place.blobs / entry.blob
        if blob.is_file() and (
            found := prove(entry, blob, lambda n: self._meter.add(entry.path, n), self._stop)
        ):
            self._close(entry, found)
            return None
        if blob.is_dir():
            raise IsADirectoryError(errno.EISDIR, "there is a folder in the place of a file", str(blob))
        known = self._partials.get(entry.blob)
        download = FileDownload(entry, self._place, lambda count: self._meter.add(entry.path, count), known)
        download.open(self._stop)
        with self._change:
            self.outcome.fetched -= download.landed
            self._landings.append(download)
            self._change.notify_all()
        if download.claim():
            self._finish(download)
            return None
        return download

    def _carry(self, stream: Stream, download: FileDownload) -> None:
        """Bring spans of one file until there are none for this stream."""
        while not self._stop.is_set() and (span := download.take()) is not None:
            try:
                stream.bring(download, span)
            except Superseded:
                continue
            finally:
                download.release()
            if download.claim():
                self._finish(download)

    def _finish(self, download: FileDownload) -> None:
        """The last byte is here: publish, or fetch again once, or give the file up and name it."""
        entry = download.entry
        with self._change:
            self.outcome.fetched += entry.size
        if download.proves():
            download.publish()
            self._close(entry, proven(entry, download.sha256, self._place.blobs / entry.blob), download)
        elif entry.size and entry.blob not in self._again and not self._stop.is_set():
            self._again.add(entry.blob)
            download.restart()
        else:
            download.discard()
            self.outcome.bad.append(entry.path)
            self._close(entry, None, download)

    def _close(self, entry: Entry, found: Entry | None, download: FileDownload | None = None) -> None:
        """A file is done with, one way or the other."""
        self._meter.end(entry.path)
        self._locks.release(entry.blob)
        with self._change:
            if found is not None:
                self.outcome.proven.append(found)
            if download in self._landings:
                self._landings.remove(download)
            self._open -= 1
            self._change.notify_all()


def explained(error: BaseException, cache: Path) -> BaseException:
    """A disk's errors in words; everything else as it is."""
    if isinstance(error, SlipwayError) or not isinstance(error, OSError):
        return error
    again = "then run the same command again: what has come is kept"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failed(
            f"the disk of {cache} is full", why=str(error), fix=f"make room, or use --cache; {again}"
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return Failed(
            f"cannot write to {cache}", why=str(error), fix="use --cache DIR with a folder of your own"
        )
    if error.errno in (errno.EFBIG, *NO_MORE_FILES):
        limit = "ulimit -f" if error.errno == errno.EFBIG else "ulimit -n, or fewer --streams"
        return Failed(
            "a limit of this process was reached", why=str(error), fix=f"raise it ({limit}), {again}"
        )
    if error.errno in IN_THE_WAY:
        return Failed(f"something in {cache} is in the way", why=str(error), fix=f"move it away, {again}")
    return Failed(f"the disk of {cache} fails", why=str(error), fix=f"check it, {again}")
