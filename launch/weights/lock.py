"""The lock of one blob: the file that huggingface_hub locks too, so that all wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.weights.cache import Place

if TYPE_CHECKING:
    from filelock import BaseFileLock


def try_lock(place: Place, blob: str) -> BaseFileLock | None:
    """The lock, held, or None where another process or host has it. Raises OSError."""
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
