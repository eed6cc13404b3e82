"""A lock of the whole host, over all its users: two launches at once never choose the same GPU."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import Failed


def lock_path() -> Path:
    """One file for all users of the host."""
    folder = Path("/run/lock")
    return (folder if os.access(folder, os.W_OK) else Path("/tmp")) / "slipway-gpus.lock"


@contextmanager
def locked(patience: float = 120.0, path: Path | None = None) -> Iterator[None]:
    """Nobody else on this host chooses GPUs meanwhile. Raises Failed after `patience` seconds of waiting.

    The kernel drops the lock with the process that holds it: a crash leaves nothing behind.
    """
    place = path or lock_path()
    handle = _open(place)
    try:
        _wait(handle, place, patience)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _open(path: Path) -> int:
    """A handle for flock. Another user's file in a sticky folder may only be opened without O_CREAT."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    for extra in (0, os.O_CREAT):
        try:
            handle = os.open(path, flags | extra, 0o644)
            with suppress(PermissionError):  # another user's; umask may have closed our own
                os.fchmod(handle, 0o644)
            return handle
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Failed(f"{path}: {error.strerror}", fix=f"look at: ls -l {path}") from None
    raise Failed(f"{path}: its folder is not there", fix=f"mkdir -p {path.parent}")


def _wait(handle: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Failed(
                    "another launch is choosing GPUs", why=f"it holds {path}", fix=f"fuser -v {path}"
                ) from None
            time.sleep(0.05)
