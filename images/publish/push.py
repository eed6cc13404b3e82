"""Push an image of this engine under a name that means nothing yet, one publisher at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from errors import Failed
from images.build.pipeline import WORK
from images.registry import reference

Show = Callable[[float, float | None, str], None]
_PATIENCE = 3600  # seconds: as long as the largest push takes


@contextmanager
def alone(where: str, name: str, show: Show) -> Iterator[None]:
    """Two at once would share the staging name, and the first to end would take it from the other.

    Who waited finds the image published. Raises Failed after an hour.
    """
    from filelock import FileLock, Timeout

    WORK.mkdir(exist_ok=True)
    lock = FileLock(WORK / f"publish-{hashlib.sha256(f'{where} {name}'.encode()).hexdigest()[:12]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        show(0, None, "waiting for another publish of the same image")
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            raise Failed(
                f"another publish to {where} does not end", why=f"it holds {lock.lock_file}"
            ) from None
    try:
        yield
    finally:
        lock.release()


def push(client: Any, image: Any, host: str, repository: str, name: str, show: Show) -> str:
    """Push as `<name>-staging`, which this engine forgets again; the digest that the registry gave."""
    from docker.errors import ImageNotFound

    where, staging = f"{host}/{repository}", f"{name}-staging"
    image.tag(where, staging)
    try:
        login = reference.password_of(host)
        stream = client.api.push(where, staging, stream=True, decode=True, auth_config=login)
        return digest(stream, show)
    finally:
        with suppress(ImageNotFound):  # a publisher from another checkout may have ended first
            client.images.remove(f"{where}:{staging}", noprune=True)


def digest(records: Any, show: Show) -> str:
    """A push stream raises nothing by itself: an `error` record is the failure, the last `aux` the digest."""
    found = ""
    for record in records:
        if "error" in record:
            raise Failed("the push failed", why=str(record["error"]), fix=_remedy(str(record["error"])))
        found = record.get("aux", {}).get("Digest", found)
        far = record.get("progressDetail") or {}
        show(far.get("current", 0), far.get("total"), f"{record.get('id', '')} {record.get('status', '')}")
    if not found:
        raise Failed("the push ended without a digest", fix="look at the registry's log, then publish again")
    return str(found)


def _remedy(said: str) -> str:
    if "401" in said or "unauthorized" in said.lower() or "basic auth" in said:
        return "docker login to that registry"
    if "no space" in said.lower():
        return "the registry's disk is full"
    return "publish again: what was sent already is not sent again"
