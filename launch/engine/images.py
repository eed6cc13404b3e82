"""The image of a plan on this engine: here already, or pulled with its bytes counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from errors import Failed

Show = Callable[[float, float | None, str], None]


def is_here(client: Any, reference: str) -> bool:
    """Whether the engine has it."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(reference)
        return True
    except ImageNotFound:
        return False


def pull(client: Any, reference: str, show: Show) -> None:
    """Pull it. Raises Failed with the registry's words: the SDK's stream ends quietly on errors."""
    from docker.errors import APIError

    repository, tag = split(reference)
    try:
        follow(client.api.pull(repository, tag=tag, stream=True, decode=True), show)
    except (APIError, Failed) as error:
        why = getattr(error, "why", "") or str(error)[:300]
        fix = "check the name and the network; a nightly that upstream deleted needs a mirror (invoke pin --mirror)"
        raise Failed(f"cannot pull {reference}", why=why, fix=fix) from None


def split(reference: str) -> tuple[str, str]:
    """Repository and tag of `registry:5000/a/b:tag`, or repository and digest; no tag is `latest`."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "latest")


def follow(records: Iterable[dict[str, Any]], show: Show) -> None:
    """Add up the layers' bytes as they come. Raises Failed for an `error` record."""
    layers: dict[str, tuple[int, int]] = {}
    for record in records:
        if "error" in record:
            raise Failed("the pull failed", why=str(record["error"]))
        detail = record.get("progressDetail") or {}
        if record.get("status") == "Downloading" and detail.get("total"):
            layers[record["id"]] = (detail["current"], detail["total"])
        elif record.get("status") in ("Download complete", "Pull complete") and record.get("id") in layers:
            layers[record["id"]] = (layers[record["id"]][1],) * 2
        done, total = sum(now for now, _ in layers.values()), sum(size for _, size in layers.values())
        show(done, total or None, f"{record.get('status', '')} {done >> 20} of {total >> 20} MiB")
