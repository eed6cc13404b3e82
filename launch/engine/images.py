"""Images on the container engine: find one, pull one, and follow the engine's progress records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from errors import Failed
from launch.engine.socket_api import EngineSocket
from launch.spec.image_reference import ImageReference
from launch.spec.inputs import LocalImage

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

Show = Callable[[float, float | None, str], None]  # done, total if known, a note
_MOVING = ("Downloading", "Pushing")
_MOVED = ("Download complete", "Pull complete", "Pushed")


def find(client: DockerClient, reference: str) -> Image | None:
    """Return the image of that name, or None if the engine does not have it."""
    from docker.errors import ImageNotFound

    try:
        return client.images.get(reference)
    except ImageNotFound:
        return None


def inspect(client: DockerClient | EngineSocket, reference: str) -> LocalImage | None:
    """Return what the engine knows of an image, or None if it does not have it."""
    facts = client.image(reference) if isinstance(client, EngineSocket) else _facts(client, reference)
    if facts is None:
        return None
    config = facts.get("Config") or {}
    return LocalImage(
        str(facts.get("Id", "")),
        tuple(facts.get("RepoDigests") or ()),
        dict(config.get("Labels") or {}),
        tuple(config.get("Entrypoint") or ()),
    )


def _facts(client: DockerClient, reference: str) -> dict[str, Any] | None:
    from docker.errors import APIError

    try:
        image = find(client, reference)
    except APIError:  # not a valid name, which another check refuses
        return None
    return dict(image.attrs) if image else None


def gone(name: str) -> Failed:
    """Return the error for an image that was removed after it was planned or provided."""
    fix = "invoke run with the same options builds or pulls it again"
    return Failed(f"the image '{name}' is no longer on this engine", why="it was removed meanwhile", fix=fix)


def pull(client: DockerClient, reference: str, show: Show) -> None:
    """Pull an image and show the bytes. Raises Failed with the registry's reason."""
    from docker.errors import DockerException

    wanted = ImageReference.parse(reference)
    try:
        follow(client.api.pull(wanted.name, tag=wanted.version, stream=True, decode=True), show)
    except (DockerException, Failed) as error:
        why = getattr(error, "why", "") or str(error)[:300]
        fix = "check the name and the network; a nightly that upstream deleted needs a mirror (invoke pin --mirror)"
        raise Failed(f"cannot pull {reference}", why=why, fix=fix) from None


def follow(records: Iterable[dict[str, Any]], show: Show) -> str:
    """Show the bytes of all layers together; return the digest that ends a push ("" after a pull).

    Raises Failed for an `error` record: the engine answers 200 and the stream ends normally after it.
    """
    layers: dict[str, tuple[int, int]] = {}
    digest = ""
    for record in records:
        if "error" in record:
            raise Failed("the container engine reported an error", why=str(record["error"]))
        digest = str((record.get("aux") or {}).get("Digest", digest))
        status, layer = record.get("status", ""), record.get("id", "")
        detail = record.get("progressDetail") or {}
        if status in _MOVING and detail.get("total"):
            layers[layer] = (detail["current"], detail["total"])
        elif status in _MOVED and layer in layers:
            layers[layer] = (layers[layer][1],) * 2
        done, total = (sum(sizes) for sizes in zip(*layers.values(), strict=True)) if layers else (0, 0)
        show(done, total or None, f"{status} {done >> 20} of {total >> 20} MiB" if total else status)
    return digest
