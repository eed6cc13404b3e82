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
from launch import paths
from launch.engine.images import Show, find, pull

if TYPE_CHECKING:
    from docker import DockerClient

# What engines report of a digest that a registry does not have.
_GONE = re.compile(r"manifest unknown|no such manifest|sha256:[0-9a-f]{64}\S* not found")
# GB of disk that a build needs at its peak: layers, build cache and image. Measured for images from wheels
# (docs/explanation/measurements.md); the others need twice the 20 GB of upstream's images.
_NEEDED_GB = {"cpu": 5, "wheels": 30, "image": 40}


def require_disk_space(client: DockerClient, image: LockedImage) -> None:
    """Raise Failed if the engine's disk is too small for the build; a remote engine's disk is not checked.

    A full disk would also stop the other containers of the engine.
    """
    folder = Path(client.info().get("DockerRootDir") or "/nowhere")
    if not folder.exists():
        return
    needed, free = _needed_gb(image), shutil.disk_usage(folder).free / 1e9
    if free < needed:
        raise Failed(
            f"not enough disk space to build {image.name}",
            why=f"{folder} has {free:.1f} GB free; the build needs about {needed} GB",
            fix="free some space: `docker system df` shows what the engine keeps",
        )


def _needed_gb(image: LockedImage) -> int:
    if not image.pins.python.requirements:
        return _NEEDED_GB["image"]
    return _NEEDED_GB.get(image.platform, _NEEDED_GB["wheels"])


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
