"""Asking the container engine what it is and what it has."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from errors import SlipwayError
from launch.doctor.facts import Engine, Image
from launch.doctor.thresholds import thresholds
from launch.hardware import sysfs

_PATIENCE = 5  # seconds a single answer may take


def look(platform: str) -> Engine:
    """The engine that answers, or why none does."""
    from launch.engine import client as engine_client

    try:
        with closing(engine_client.connect(timeout=_PATIENCE)) as client:
            return _described(client, platform, engine_client.is_podman(client))
    except SlipwayError as error:
        why = f"{error.what}: {error.why}"
        return Engine(error=why, remedy=error.fix, image=_locked(platform))
    except Exception as error:  # a DOCKER_HOST that is no address, an answer that is none: a finding too
        return Engine(error=str(error)[:200], remedy="check DOCKER_HOST, then: docker info")


def _described(client: Any, platform: str, podman: bool) -> Engine:
    said = client.info()
    root = str(said.get("DockerRootDir") or "")
    return Engine(
        url=str(client.api.base_url).replace("http+docker://localhost", _socket(client)),
        podman=podman,
        version=str(said.get("ServerVersion") or ""),
        storage=str(said.get("Driver") or ""),
        root=root,
        free=free(root),
        runtimes=tuple(sorted(said.get("Runtimes") or {})),
        cdi=bool(said.get("CDISpecDirs")) or podman,
        seccomp=any("seccomp" in str(option) for option in said.get("SecurityOptions") or ()),
        open_files=None if podman else _open_files(),
        ports=_ports(client),
        image=image(client, platform),
    )


def _socket(client: Any) -> str:
    adapter = client.api.adapters.get("http+docker://")
    path = str(getattr(adapter, "socket_path", ""))
    return f"unix://{path}" if path else "a socket"


def free(folder: str) -> int | None:
    """Bytes free for this user where a folder is or will be; None where it is not on this machine."""
    for place in (Path(folder), *Path(folder).parents) if folder else ():
        if sysfs.is_here(place):
            return shutil.disk_usage(place).free
    return None


def builder() -> str:
    """The tool that will build images, "" where none knows BuildKit."""
    from images.build import backend as builders

    try:
        return builders.choose().name
    except SlipwayError:
        return ""


def _open_files() -> int | None:
    """The hard limit that dockerd hands to containers, from its own."""
    pid = sysfs.read_number(Path("/var/run/docker.pid"))
    match = (
        re.search(r"Max open files\s+\S+\s+(\d+)", sysfs.text(Path(f"/proc/{pid}/limits"))) if pid else None
    )
    return int(match.group(1)) if match else None


def _ports(client: Any) -> tuple[tuple[int, str], ...]:
    found = []
    for container in client.api.containers():
        name = (container.get("Names") or ["?"])[0].lstrip("/")
        found += [(int(p["PublicPort"]), name) for p in container.get("Ports") or () if p.get("PublicPort")]
    return tuple(found)


def _locked(platform: str) -> Image:
    from images.build.pipeline import reference

    return Image(reference(platform), size=thresholds().image_bytes.value.get(platform))


def image(client: Any, platform: str) -> Image:
    """The image that `invoke build` makes for a platform, with its capabilities if the engine has it."""
    from docker.errors import APIError, ImageNotFound

    from images.capabilities import from_labels

    locked = _locked(platform)
    try:
        labels = client.api.inspect_image(locked.reference)["Config"].get("Labels") or {}
    except (ImageNotFound, APIError, KeyError):
        return locked
    found = from_labels(labels)
    if not found:
        return Image(locked.reference, here=True)
    return Image(locked.reference, True, None, found.cuda, found.hip, found.gpu_archs)
