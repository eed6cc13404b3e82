"""Verify a built image against the lock, label it with its capabilities, and only then tag it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from errors import Failed
from images import capabilities
from images.lock.schema import LockedImage
from launch.engine.images import Show, find
from launch.spec.capabilities import Capabilities

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

BUILT_FROM = "slipway.built-from"  # the ID of the image before it was labelled


def verify_and_tag(
    client: DockerClient, locked: LockedImage, image: str, tag: str, base: str, show: Show
) -> tuple[Image, bool]:
    """Return the tagged image, and whether it is new. An image that was labelled before is not read again.

    Raises Failed if the image differs from the lock; the image is removed.
    """
    built, current = client.images.get(image), find(client, tag)
    if current is not None and current.labels.get(BUILT_FROM) == built.id:
        return current, False
    built_id = str(built.id)
    try:
        key = capabilities.content_key(built.attrs)
        found = capabilities.recorded(client, key) or _read(client, built_id, show)
        _require_equal(capabilities.differences(locked, found))
        labels = {
            capabilities.LABEL: found.as_json(),
            capabilities.READ_FROM: key,
            BUILT_FROM: built_id,
            "slipway.base": base,
            "slipway.vllm": found.vllm_version,
        }
        return _label(client, built_id, tag, labels), True
    except BaseException:  # also when interrupted: an unverified image must not stay
        _discard(client, built_id)
        raise


def _read(client: DockerClient, image: str, show: Show) -> Capabilities:
    show(0, None, "reading the image's capabilities")
    return capabilities.read(client, image)


def _require_equal(differences: list[str]) -> None:
    if differences:
        raise Failed(
            "the image differs from the lock",
            why="; ".join(differences),
            fix="pin an existing build with `invoke pin`, or report the outdated image upstream",
        )


def _discard(client: DockerClient, image: str) -> None:
    from docker.errors import APIError

    try:
        client.images.remove(image)
    except APIError:
        return  # another image depends on it


def digest(image: Image) -> str:
    """Return `repository@sha256:...` of an image that was pushed or pulled, else ""."""
    return str(next(iter(image.attrs.get("RepoDigests") or []), ""))


def _label(client: DockerClient, image_id: str, tag: str, labels: dict[str, str]) -> Image:
    dockerfile = io.BytesIO(f"FROM {image_id}\n".encode())
    image, _ = client.images.build(fileobj=dockerfile, tag=tag, labels=labels, rm=True, forcerm=True)
    return image
