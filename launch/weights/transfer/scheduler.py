"""Fetch many files at once: decide which worker fetches which file.

Every worker takes a file of its own as long as there are any; then it helps with the one that has most bytes
left. A file that another process is fetching is left to it, and checked again later.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from errors import Failed, SlipwayError
from launch.http.pool import NO_MORE_FILES
from launch.http.retry import RetryPolicy
from launch.weights.cache import ModelFolder
from launch.weights.hashing import mark_verified, verify_blob
from launch.weights.manifest import Entry
from launch.weights.progress import TransferProgress
from launch.weights.source import Source
from launch.weights.sources.several import SeveralSources
from launch.weights.transfer import partial_file, shared_cache
from launch.weights.transfer.blob_lock import BlobLocks
from launch.weights.transfer.file_download import FileDownload, Superseded
from launch.weights.transfer.rate_limit import RateLimit
from launch.weights.transfer.worker import Worker

WORKERS = 8
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP)
CHECK_AGAIN = 0.3  # seconds until a file that another process fetches is checked again


@dataclass
class Outcome:
    """The verified entries, the paths with wrong content, and the bytes transferred."""

    verified: list[Entry] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    fetched: int = 0


class Scheduler:
    """Fetches blobs into a cache. Used once: create it, call `run`."""

    def __init__(
        self,
        source: Source,
        folder: ModelFolder,
        progress: TransferProgress,
        policy: RetryPolicy,
        workers: int = WORKERS,
        limit: RateLimit | None = None,
    ) -> None:
        self._folder, self._progress = folder, progress
        self._several = source if isinstance(source, SeveralSources) else None
        self._stop = threading.Event()
        self._workers = [Worker(source, policy, progress, self._stop, limit) for _ in range(workers)]
        self._change = threading.Condition()
        self._partial_files = partial_file.find(folder)
        self._queue: deque[Entry] = deque()
        self._locked_elsewhere: deque[tuple[float, Entry]] = deque()  # and when to check again
        self._downloads: list[FileDownload] = []
        self._locks = BlobLocks(folder)
        self._fetched_twice: set[str] = set()
        self._open = 0  # entries that are neither done nor given up
        self.outcome = Outcome()
        self._error: BaseException | None = None

    def run(self, entries: Iterable[Entry], on_progress: Callable[[TransferProgress], None]) -> Outcome:
        """Fetch these, one entry per blob. `on_progress` is called from this thread a few times a second.

        Raises Failed as soon as one file cannot be fetched; finished parts stay for the next fetch.
        """
        self._queue.extend(sorted(entries, key=lambda entry: -entry.size))
        self._open = len(self._queue)
        threads = [threading.Thread(target=self._work, args=(one,), daemon=True) for one in self._workers]
        try:
            for thread in threads:
                thread.start()
            self._watch(threads, on_progress)
        finally:
            self._end(threads)
        if self._error is not None:
            raise self._error
        return self.outcome

    def _watch(
        self, threads: list[threading.Thread], on_progress: Callable[[TransferProgress], None]
    ) -> None:
        while any(thread.is_alive() for thread in threads) and self._error is None:
            on_progress(self._progress)
            self._locks.touch()
            for worker in self._workers:
                worker.check()
            with self._change:
                if self._open and self._error is None:
                    self._change.wait(0.2)
            if not self._open:
                for thread in threads:
                    thread.join()

    def _end(self, threads: list[threading.Thread]) -> None:
        """Stop within a second, whatever the network does; then close and unlock every file."""
        self._stop.set()
        for worker in self._workers:
            worker.abort()
        until = time.monotonic() + 0.8
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in threads):
            for download in self._downloads:
                download.close()
            self._locks.release_all()

    def _work(self, worker: Worker) -> None:
        """Run one worker's thread."""
        try:
            while (task := self._next()) is not None:
                download = self._begin(task) if isinstance(task, Entry) else task
                if download is not None:
                    self._fetch(worker, download)
        except BaseException as error:
            with self._change:
                self._error = self._error or explain(error, self._folder.cache)
                self._change.notify_all()
            self._stop.set()
        finally:
            worker.close()

    def _next(self) -> Entry | FileDownload | None:
        """Return a file that no worker has, else one to help with, or None at the end."""
        while not self._stop.is_set():
            with self._change:
                if not self._open:
                    return None
                if self._locked_elsewhere and self._locked_elsewhere[0][0] <= time.monotonic():
                    self._queue.append(self._locked_elsewhere.popleft()[1])
                if self._queue:
                    return self._queue.popleft()
                if downloads := [one for one in self._downloads if one.needs_worker]:
                    return max(downloads, key=lambda one: one.left)
                self._change.wait(0.1)
        return None

    def _begin(self, entry: Entry) -> FileDownload | None:
        """Lock a file and open it; return None if it is locked elsewhere or needs no bytes."""
        if owner := self._locks.take(entry.blob):
            with self._change:
                self._locked_elsewhere.append((time.monotonic() + CHECK_AGAIN, entry))
            self._progress.trouble = f"{owner} is fetching {entry.path}"
            return None

        def count_bytes(count: int) -> None:
            self._progress.add(entry.path, count)

        self._progress.begin(entry.path, entry.size)
        blob = self._folder.blobs / entry.blob
        if blob.is_file() and (verified := verify_blob(entry, blob, count_bytes, self._stop)):
            partial_file.remove(self._partial_files.get(entry.blob, ()))
            self._close(entry, verified)
            return None
        if blob.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder has the name of a file", str(blob))
        download = FileDownload(entry, self._folder, count_bytes, self._partial_files.get(entry.blob))
        download.open(self._stop)
        with self._change:
            self.outcome.fetched -= download.hashed
            self._downloads.append(download)
            self._change.notify_all()
        if download.claim_finish():
            self._finish(download)
            return None
        return download

    def _fetch(self, worker: Worker, download: FileDownload) -> None:
        """Fetch spans of one file until there are none for this worker."""
        while not self._stop.is_set() and (span := download.take()) is not None:
            try:
                worker.fetch(download, span)
            except Superseded:
                continue
            finally:
                download.release()
            if download.claim_finish():
                self._finish(download)

    def _finish(self, download: FileDownload) -> None:
        """Publish a complete file; if its content is wrong, fetch it again once, then give it up."""
        entry = download.entry
        with self._change:
            self.outcome.fetched += entry.size
        if download.matches():
            self._close(entry, mark_verified(entry, download.sha256, download.publish()), download)
            if self._several:
                self._several.accept(entry)
        elif entry.size and self._may_be_right_next_time(entry) and not self._stop.is_set():
            download.restart()
        else:
            download.discard()
            self.outcome.bad.append(entry.path)
            self._close(entry, None, download)

    def _may_be_right_next_time(self, entry: Entry) -> bool:
        """Whether to fetch a wrong file again: once, and as long as another source may send the right bytes."""
        if self._several and self._several.reject(entry):
            return True
        first = entry.blob not in self._fetched_twice
        self._fetched_twice.add(entry.blob)
        return first

    def _close(self, entry: Entry, verified: Entry | None, download: FileDownload | None = None) -> None:
        """Unlock a file that is verified or given up."""
        self._progress.end(entry.path)
        self._locks.release(entry.blob)
        with self._change:
            if verified is not None:
                self.outcome.verified.append(verified)
            if download in self._downloads:
                self._downloads.remove(download)
            self._open -= 1
            self._change.notify_all()


def explain(error: BaseException, cache: Path) -> BaseException:
    """Return an OSError of the disk as Failed with what to do; return every other exception as it is."""
    if isinstance(error, SlipwayError) or not isinstance(error, OSError):
        return error
    again = "then run the same command again; finished parts are kept"
    if error.errno == errno.EDQUOT:
        what, fix = f"the quota on the disk of {cache} is used up", f"ask for a larger quota, {again}"
    elif error.errno == errno.ENOSPC and not _has_inodes(cache):
        what, fix = f"the disk of {cache} has no free inodes", f"delete files there (df -i), {again}"
    elif error.errno == errno.ENOSPC:
        what, fix = f"the disk of {cache} is full", f"free some space, or use --cache; {again}"
    elif error.errno in (errno.EACCES, errno.EPERM) and (place := shared_cache.others_folder(error, cache)):
        return shared_cache.not_shared(place, error)
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        what, fix = f"cannot write to {cache}", "use --cache DIR with your own folder"
    elif error.errno in (errno.EFBIG, *NO_MORE_FILES):
        limit = "ulimit -f" if error.errno == errno.EFBIG else "ulimit -n, or fewer --streams"
        what, fix = "a limit of this process was reached", f"raise it ({limit}), {again}"
    elif error.errno in IN_THE_WAY:
        what, fix = f"something in {cache} is in the way", f"move it away, {again}"
    else:
        what, fix = f"the disk of {cache} fails", f"check it, {again}"
    return Failed(what, why=str(error), fix=fix)


def _has_inodes(cache: Path) -> bool:
    """Whether a disk can have more files. A disk that counts no inodes says 0 of 0."""
    try:
        facts = os.statvfs(cache)
    except OSError:
        return True
    return not facts.f_files or facts.f_favail > 0
