"""Who brings a blob: one process of one host at a time.

The lock is the file that huggingface_hub locks too, so that all on a host wait for each other. Where a shared file
system keeps locks to each host, a claim tells hosts apart: a file that is made in one step, says whose it is, and is
touched as long as that host works.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from launch.weights.cache import Place
from launch.weights.transfer.partial_file import host

if TYPE_CHECKING:
    from filelock import BaseFileLock

BEAT = 2.0  # seconds between two signs of life
SILENCE = 10.0  # seconds without one, and a claim counts for nothing
OLD = 60.0  # seconds since the last one, by this host's clock: nobody needs to listen any longer
SOMEBODY = "another host"


class Locks:
    """The locks and claims that this process holds on the blobs of one place. Threads may share it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._held: dict[str, BaseFileLock] = {}
        self._heard: dict[str, tuple[int, float]] = {}  # of others' claims: the last sign of life, and when
        self._beaten = time.monotonic()

    def take(self, blob: str) -> str:
        """Take one: empty, or who has it. Raises OSError."""
        lock = _try_lock(self._place, blob)
        if lock is None:
            return "another process"
        if other := self._claimed(blob):
            lock.release()
            return other
        self._held[blob] = lock
        return ""

    def release(self, blob: str) -> None:
        """Let go of one that is held."""
        if self._read(blob)[0] == host():  # else somebody took this host for dead
            self._claim(blob).unlink(missing_ok=True)
        self._held.pop(blob).release()

    def release_all(self) -> None:
        """Let go of every one."""
        for blob in list(self._held):
            self.release(blob)

    def beat(self) -> None:
        """Give a sign of life where one is due."""
        if time.monotonic() - self._beaten < BEAT:
            return
        self._beaten = time.monotonic()
        for blob in list(self._held):
            with contextlib.suppress(OSError):  # released meanwhile, or somebody else's by now
                os.utime(self._claim(blob))

    def _claim(self, blob: str) -> Path:
        return self._place.locks / f"{blob}.claim"

    def _claimed(self, blob: str) -> str:
        """The other host whose claim holds, or empty once the claim is this host's."""
        owner, sign = self._read(blob)
        if owner not in ("", host()) and self._lives(blob, sign):
            return owner
        path = self._claim(blob)
        if sign:
            path.unlink(missing_ok=True)
        try:
            with path.open("x") as mine:
                mine.write(host())
        except FileExistsError:
            return SOMEBODY
        return ""

    def _read(self, blob: str) -> tuple[str, int]:
        """Whose claim it is, empty where it is none, and its last sign of life, 0 where there is nothing."""
        try:
            # To open it is what makes a network file system look again; not through a link, nor waiting at a pipe.
            file = os.open(self._claim(blob), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return "", 0
        try:
            found = os.fstat(file)
            sign = max(1, found.st_mtime_ns)
            if not stat.S_ISREG(found.st_mode):
                return "", sign
            # One that is empty was made this very moment, and will say whose it is.
            return os.read(file, 100).decode(errors="replace") or SOMEBODY, sign
        finally:
            os.close(file)

    def _lives(self, blob: str, sign: int) -> bool:
        """Whether a claim of another host was touched lately."""
        if abs(time.time() - sign / 1e9) > OLD:
            return False
        last, since = self._heard.get(blob, (0, 0.0))
        if sign != last:
            last, since = self._heard[blob] = (sign, time.monotonic())
        return time.monotonic() - since < SILENCE


def _try_lock(place: Place, blob: str) -> BaseFileLock | None:
    """The lock, held, or None where another process has it. Raises OSError."""
    from filelock import FileLock, SoftFileLock, Timeout

    place.locks.mkdir(parents=True, exist_ok=True)
    path = place.locks / f"{blob}.lock"
    # thread_local=False: the stream that takes a lock may not be the one that brings the last byte.
    for kind in (FileLock, SoftFileLock):
        lock = kind(path, mode=0o664, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except NotImplementedError:
            continue  # this file system has no flock
        return lock
    return None
