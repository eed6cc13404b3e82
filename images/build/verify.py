"""A built image proves what it is, gets the contract stamped on it, and only then a name."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from errors import Failed
from images import capabilities
from images.lock.lockfile import Platform

Show = Callable[[float, float | None, str], None]
BUILT_FROM = "slipway.built-from"


def prove(
    client: Any, name: str, platform: Platform, image: str, tag: str, base: str, show: Show
) -> tuple[Any, bool]:
    """The named image, and whether it is a new one: the very same image is not asked twice.

    Raises Failed where it is not what the lock says, and then takes it away.
    """
    known = existing(client, tag)
    built = client.images.get(image)
    if known is not None and known.labels.get(BUILT_FROM) == built.id:
        return known, False
    key = capabilities.key(built.attrs)
    try:
        found = capabilities.known(client, key) or _read(client, built.id, show)
        _agree(capabilities.differences(name, platform, found))
        return _stamp(client, built.id, tag, found, key, base), True
    except BaseException:
        _discard(client, built.id)
        raise


def _read(client: Any, image: str, show: Show) -> capabilities.Capabilities:
    show(0, None, "reading the contract")
    return capabilities.read(client, image)


def _agree(wrong: list[str]) -> None:
    if wrong:
        raise Failed(
            "the image is not what the lock says",
            why="; ".join(wrong),
            fix="`invoke pin` to a build that exists, or report the stale image upstream",
        )


def _discard(client: Any, image: str) -> None:
    from docker.errors import APIError

    try:
        client.images.remove(image)
    except APIError:
        return  # another image stands on it


def existing(client: Any, tag: str) -> Any:
    """The image of that name, or None."""
    from docker.errors import ImageNotFound

    try:
        return client.images.get(tag)
    except ImageNotFound:
        return None


def digest(image: Any) -> str:
    """`repository@sha256:...` where it was pushed or pulled, else empty: an engine gives no digest before."""
    return str(next(iter(image.attrs.get("RepoDigests") or []), ""))


def _stamp(
    client: Any, image_id: str, tag: str, found: capabilities.Capabilities, key: str, base: str
) -> Any:
    labels = {
        capabilities.LABEL: found.as_json(),
        capabilities.READ_FROM: key,
        BUILT_FROM: image_id,
        "slipway.base": base,
        "slipway.vllm": found.vllm_version,
    }
    dockerfile = io.BytesIO(f"FROM {image_id}\n".encode())
    image, _ = client.images.build(fileobj=dockerfile, tag=tag, labels=labels, rm=True)
    return image
