"""One benchmark at a time on each server of a host: a lock that the kernel drops when its process ends.

The names of the lock files also show which other benchmarks run on the host.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import Refused
from launch.allocation.reservation import lock_path, open_lock

_PREFIX, _SUFFIX = "slipway-bench-", ".lock"
_PROBED = 0.3  # seconds; `neighbours` of another process holds a free lock for an instant


@contextmanager
def only_benchmark_of(server: str, id: str, folder: Path | None = None) -> Iterator[Path]:
    """Hold the lock of a server and yield its file. Raises Refused if another benchmark of this server runs.

    `id` is that of its container, because two engines of one host may have servers of the same name.
    """
    path = (folder or lock_path().parent) / f"{_PREFIX}{server}@{id}{_SUFFIX}"
    handle = _locked(path, server)
    try:
        yield path
    finally:
        with suppress(OSError):  # in a sticky folder, the file of another user stays
            path.unlink()
        os.close(handle)


def _locked(path: Path, server: str) -> int:
    """Return the handle of a locked file that still has its name: the last owner may have removed it meanwhile."""
    deadline = time.monotonic() + _PROBED
    while True:
        handle = open_lock(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_name(handle, path):
                return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise _refused(server, path) from None
        os.close(handle)
        time.sleep(0.05)


def _has_name(handle: int, path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _refused(server: str, path: Path) -> Refused:
    return Refused(
        f"another benchmark of '{server}' is running",
        why=f"two loads on one server measure neither; the other one holds '{path}'",
        fix=f"fuser -v {path}",
    )


def neighbours(own: Path) -> tuple[str, ...]:
    """Return the names of the other servers of this host that are being benchmarked."""
    others = (path for path in own.parent.glob(f"{_PREFIX}*{_SUFFIX}") if path != own)
    return tuple(sorted(_server(path) for path in others if _is_held(path)))


def _server(path: Path) -> str:
    return path.name.removeprefix(_PREFIX).rpartition("@")[0]


def _is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
