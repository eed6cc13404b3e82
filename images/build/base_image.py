"""Provide the base image of a build: local, pulled by digest, or (for wheels) made from Debian packages."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from images.build import debian_base
from images.lock.schema import LockedImage
from images.registry.client import connect
from launch import paths
from launch.engine.images import Show, find, pull
from launch.spec.image_reference import ImageReference

if TYPE_CHECKING:
    from docker import DockerClient

# What engines report of a digest that a registry does not have.
_GONE = re.compile(r"manifest unknown|no such manifest|sha256:[0-9a-f]{64}\S* not found")
# GB of disk that a build needs at its peak: layers, build cache and image. Measured for images from wheels
# (docs/explanation/measurements.md). An upstream image's size is asked of its registry if this much is not free.
_NEEDED_GB = {"cpu": 5, "wheels": 30, "image": 40}
# An image is here twice while it is pulled, packed and unpacked; unpacked, vLLM's are about twice as large.
_UNPACKING = 3
_OWN_LAYERS_GB = (
    1  # what a build adds to an upstream image: a folder, and copies of the few set-user-ID programs
)


def require_disk_space(client: DockerClient, image: LockedImage) -> None:
    """Raise Failed if the engine's disk is too small for the build; a remote engine's disk is not checked.

    A full disk would also stop the other containers of the engine.
    """
    folder = Path(client.info().get("DockerRootDir") or "/nowhere")
    if not folder.exists():
        return
    free = shutil.disk_usage(folder).free / 1e9
    if free >= _usual_gb(image):
        return
    needed = _usual_gb(image) if image.pins.python.requirements else _above_upstream_gb(client, image)
    if free < needed:
        raise Failed(
            f"not enough disk space to build {image.name}",
            why=f"{folder} has {free:.1f} GB free; the build needs about {needed:.0f} GB",
            fix="free some space: `docker system df` shows what the engine keeps",
        )


def _usual_gb(image: LockedImage) -> int:
    if not image.pins.python.requirements:
        return _NEEDED_GB["image"]
    return _NEEDED_GB.get(image.platform, _NEEDED_GB["wheels"])


def _above_upstream_gb(client: DockerClient, image: LockedImage) -> float:
    """Return what a build above an upstream image needs, by the size of that image unless the engine has it."""
    references = image.pins.base.references
    if any(find(client, reference) for reference in references):
        return _OWN_LAYERS_GB
    packed = _packed_gb(references[0])
    return _usual_gb(image) if packed is None else packed * _UNPACKING + _OWN_LAYERS_GB


def _packed_gb(reference: str) -> float | None:
    """Return the size of an image's layers in its registry; None if it cannot be asked: the pull will say why."""
    base = ImageReference.parse(reference)
    try:
        return connect(base.registry).resolve(base.repository, base.digest).layer_bytes / 1e9
    except Failed:
        return None


def ensure(client: DockerClient, image: LockedImage, show: Show) -> str:
    """Return the name of the image's base, which the engine has now. Raises Failed if it cannot be had."""
    pins = image.pins
    local = debian_base.tag(pins.debian)
    from_wheels = bool(pins.python.requirements)  # needs no more than a Debian with Python
    references = pins.base.references
    for reference in (*references, local) if from_wheels else references:
        if find(client, reference):
            return reference
    errors = []
    for reference in references:
        show(0, None, f"pulling {reference}")
        try:
            pull(client, reference, show)
            return reference
        except Failed as error:
            errors.append(f"{reference}: {error.why}")
    if not from_wheels:
        raise _cannot_pull(image, errors)
    show(0, None, "no registry is reachable: making a base from Debian packages")
    return _make_local(client, local, pins.debian)


def _cannot_pull(image: LockedImage, errors: Sequence[str]) -> Failed:
    """Return the error for a base that no registry has, or that none of them could be asked for."""
    why = "; ".join(errors)
    if all(_GONE.search(error) for error in errors):
        return Failed(
            f"the base of {image.name} no longer exists: {image.pins.base.reference}",
            why=why,
            fix=image.renewal,
        )
    return Failed(f"cannot pull the base of {image.name}", why=why, fix="check the network to that registry")


def _make_local(client: DockerClient, tag: str, debian: Sequence[str]) -> str:
    repository, _, version = tag.partition(":")
    work = paths.writable(paths.cache_dir())  # /tmp may be too small for the tar file
    with tempfile.TemporaryDirectory(dir=work) as folder:
        tar = Path(folder, "base.tar")
        debian_base.make(tar, debian)
        answer = client.api.import_image(src=str(tar), repository=repository, tag=version)
    if not find(client, tag):  # podman 4.3 ignores the tag
        image_id = json.loads(answer.strip().splitlines()[-1])["status"]
        client.images.get(image_id).tag(repository, tag=version)
    return tag
