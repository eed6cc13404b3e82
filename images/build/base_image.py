"""Provide the base image of a build: local, pulled by digest, or (for wheels) made from Debian packages."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from images.build import debian_base
from images.lock.schema import Platform, family
from launch import paths
from launch.engine.images import Show, find, pull

if TYPE_CHECKING:
    from docker import DockerClient

# GB of disk that a build needs at its peak: layers, build cache and image. Measured for images from wheels
# (docs/images.md); the others need twice the 20 GB of upstream's images.
_NEEDED_GB = {"cpu": 5, "cuda": 40, "rocm": 40, "cuda-wheel": 30}


def require_disk_space(client: DockerClient, name: str) -> None:
    """Raise Failed if the engine's disk is too small for the build; a remote engine's disk is not checked.

    A full disk would also stop the other containers of the engine.
    """
    folder = Path(client.info().get("DockerRootDir") or "/nowhere")
    if not folder.exists():
        return
    needed, free = _NEEDED_GB.get(name, _NEEDED_GB[family(name)]), shutil.disk_usage(folder).free / 1e9
    if free < needed:
        raise Failed(
            f"not enough disk space to build {name}",
            why=f"{folder} has {free:.1f} GB free; the build needs about {needed} GB",
            fix="free some space: `docker system df` shows what the engine keeps",
        )


def ensure(client: DockerClient, name: str, platform: Platform, show: Show) -> str:
    """Return the name of the platform's base, which the engine has now. Raises Failed if it cannot be had."""
    local = debian_base.tag(platform.debian)
    from_wheels = bool(platform.python.requirements)  # needs no more than a Debian with Python
    references = platform.base.references
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
        raise Failed(
            f"cannot pull the base of {name}",
            why="; ".join(errors),
            fix="check the network to that registry, or mirror the base with `invoke pin --mirror`",
        )
    show(0, None, "no registry is reachable: making a base from Debian packages")
    return _make_local(client, local, platform)


def _make_local(client: DockerClient, tag: str, platform: Platform) -> str:
    repository, _, version = tag.partition(":")
    work = paths.writable(paths.cache_dir())  # /tmp may be too small for the tar file
    with tempfile.TemporaryDirectory(dir=work) as folder:
        tar = Path(folder, "base.tar")
        debian_base.make(tar, platform.debian)
        answer = client.api.import_image(src=str(tar), repository=repository, tag=version)
    if not find(client, tag):  # podman 4.3 ignores the tag
        image_id = json.loads(answer.strip().splitlines()[-1])["status"]
        client.images.get(image_id).tag(repository, tag=version)
    return tag
