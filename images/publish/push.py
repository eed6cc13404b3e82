"""Push an image under a temporary tag; publish one image at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from images.registry import address
from launch import paths
from launch.engine.images import Show, follow

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

_TIMEOUT = 3600  # seconds; the largest push takes about as long


@contextmanager
def exclusive(target: str, name: str, show: Show) -> Iterator[None]:
    """Let one process publish a platform to a target at a time; the next one finds the image published.

    Two at once would share the temporary tag, which the first to finish removes. Raises Failed after an hour.
    """
    key = hashlib.sha256(f"{target} {name}".encode()).hexdigest()[:12]
    path = paths.writable(paths.state_dir()) / f"publish-{key}.lock"
    deadline = time.monotonic() + _TIMEOUT
    while (lock := _try_lock(path)) is None:
        show(0, None, "waiting for another publish of the same image")
        if time.monotonic() > deadline:
            raise Failed(
                f"another publish to {target} has not finished after {_TIMEOUT // 60} minutes",
                why=f"it holds {path}",
                fix=f"fuser -v {path}",
            )
        time.sleep(0.2)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: a waiting process notices in _try_lock
        os.close(lock)


def _try_lock(path: Path) -> int | None:
    """Return a locked handle of the file, or None if another process has the lock or removed the file."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    os.close(handle)
    return None


def push(client: DockerClient, image: Image, host: str, repository: str, name: str, show: Show) -> str:
    """Push as `<name>-staging`, then remove that tag from the engine; return the digest in the registry."""
    from docker.errors import ImageNotFound

    target, staging = f"{host}/{repository}", f"{name}-staging"
    image.tag(target, staging)
    try:
        login = address.engine_login(host)
        digest = follow(client.api.push(target, staging, stream=True, decode=True, auth_config=login), show)
    except Failed as error:
        raise Failed("the push failed", why=error.why, fix=_fix(error.why)) from None
    finally:
        with suppress(ImageNotFound):  # another publisher on this engine may have removed it
            client.images.remove(f"{target}:{staging}", noprune=True)
    if not digest:
        raise Failed("the push ended without a digest", fix="check the registry's log, then publish again")
    return digest


def _fix(error: str) -> str:
    if "401" in error or "unauthorized" in error.lower() or "basic auth" in error:
        return "docker login to that registry"
    if "no space" in error.lower():
        return "free disk space in the registry"
    return "publish again: layers that were sent are not sent again"
