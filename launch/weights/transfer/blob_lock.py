"""Lock a blob: one process on one host fetches it at a time.

The lock file is the one that huggingface_hub locks too. Some shared file systems keep locks to each host; between
hosts a claim decides: a file that is created atomically, names its host, and is touched while that host works.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from launch.weights.cache import ModelFolder
from launch.weights.transfer.partial_file import host

if TYPE_CHECKING:
    from filelock import BaseFileLock

TOUCH_INTERVAL = 2.0  # seconds
SILENCE = 10.0  # seconds without a touch after which a claim is void
OLD = 60.0  # seconds since the last touch, by this host's clock, after which a claim is void at once
UNNAMED_HOST = "another host"


class BlobLocks:
    """The locks and claims of this process on the blobs of one model. Threads may share it."""

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder
        self._held: dict[str, BaseFileLock | _ReadOnlyLock] = {}
        self._touches: dict[
            str, tuple[int, float]
        ] = {}  # of others' claims: the last touch, and when it was seen
        self._last_touch = time.monotonic()

    def take(self, blob: str) -> str:
        """Lock a blob. Return an empty string, or who holds the lock. Raises OSError."""
        lock = _try_lock(self._folder, blob)
        if lock is None:
            return "another process"
        if owner := self._claim(blob):
            lock.release()
            return owner
        self._held[blob] = lock
        return ""

    def release(self, blob: str) -> None:
        """Release a lock that is held."""
        if self._read(blob)[0] == host():  # otherwise another host has declared this claim void
            self._claim_file(blob).unlink(missing_ok=True)
        self._held.pop(blob).release()

    def release_all(self) -> None:
        """Release every lock that is held."""
        for blob in list(self._held):
            self.release(blob)

    def touch(self) -> None:
        """Touch the claims if it is time to."""
        if time.monotonic() - self._last_touch < TOUCH_INTERVAL:
            return
        self._last_touch = time.monotonic()
        for blob in list(self._held):
            with contextlib.suppress(OSError):  # released in the meantime, or another host's by now
                os.utime(self._claim_file(blob))

    def _claim_file(self, blob: str) -> Path:
        return self._folder.locks / f"{blob}.claim"

    def _claim(self, blob: str) -> str:
        """Claim a blob for this host. Return an empty string, or the host whose claim is valid."""
        owner, touched = self._read(blob)
        if owner not in ("", host()) and self._is_alive(blob, touched):
            return owner
        path = self._claim_file(blob)
        if touched:
            path.unlink(missing_ok=True)
        try:
            with path.open("x") as file:
                file.write(host())
        except FileExistsError:
            return UNNAMED_HOST
        return ""

    def _read(self, blob: str) -> tuple[str, int]:
        """Return a claim's host (empty if it is not a file) and its last touch (0 if there is none)."""
        try:
            # Opening it makes a network file system look again. Not through a link, and not waiting at a pipe.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.open(self._claim_file(blob), flags)
        except FileNotFoundError:
            return "", 0
        try:
            status = os.fstat(file)
            touched = max(1, status.st_mtime_ns)
            if not stat.S_ISREG(status.st_mode):
                return "", touched
            # An empty one was created this moment, and its host is about to write its name.
            return os.read(file, 100).decode(errors="replace") or UNNAMED_HOST, touched
        finally:
            os.close(file)

    def _is_alive(self, blob: str, touched: int) -> bool:
        """Whether another host has touched its claim lately."""
        if abs(time.time() - touched / 1e9) > OLD:
            return False
        last, since = self._touches.get(blob, (0, 0.0))
        if touched != last:
            last, since = self._touches[blob] = (touched, time.monotonic())
        return time.monotonic() - since < SILENCE


class _ReadOnlyLock:
    """A lock on a file of another user that this user may only read: flock asks for no more."""

    def __init__(self, file: int) -> None:
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)


def _lock_of_other_user(path: Path) -> _ReadOnlyLock | None:
    """Return the lock, held, or None if another process holds it. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return _ReadOnlyLock(file)


def _try_lock(folder: ModelFolder, blob: str) -> BaseFileLock | _ReadOnlyLock | None:
    """Return the lock, held, or None if another process holds it. Raises OSError."""
    from filelock import FileLock, SoftFileLock, Timeout

    folder.locks.mkdir(parents=True, exist_ok=True)
    path = folder.locks / f"{blob}.lock"
    # thread_local=False: the worker that takes a lock may not be the one that fetches the last byte.
    for kind in (FileLock, SoftFileLock):
        lock = kind(path, mode=0o664, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except PermissionError:
            return _lock_of_other_user(path)
        except Timeout:
            return None
        except NotImplementedError:
            continue  # this file system has no flock
        return lock
    return None
