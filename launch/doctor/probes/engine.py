"""Ask the container engine for its properties, its containers and the platform's image."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from errors import SlipwayError
from launch.doctor.facts import Engine, ImageFacts
from launch.doctor.thresholds import thresholds
from launch.hardware import sysfs

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT = 5  # seconds for one answer


def probe(platform: str) -> Engine:
    """Return the properties of the engine that answers, or why none does."""
    from launch.engine import client as engine_client

    try:
        with closing(engine_client.connect(timeout=_TIMEOUT)) as client:
            return _describe(client, platform, engine_client.is_podman(client))
    except SlipwayError as error:
        return Engine(error=f"{error.what}: {error.why}", fix=error.fix, image=_locked_image(platform))
    except Exception as error:  # an invalid DOCKER_HOST, an answer of another program: also a finding
        return Engine(error=str(error)[:200], fix="check DOCKER_HOST, then: docker info")


def _describe(client: DockerClient, platform: str, podman: bool) -> Engine:
    from launch.engine import client as engine_client

    properties = client.info()
    root = str(properties.get("DockerRootDir") or "")
    security = properties.get("SecurityOptions") or ()
    return Engine(
        url=str(client.api.base_url).replace(
            "http+docker://localhost", engine_client.url_of_socket(client) or "a socket"
        ),
        podman=podman,
        podman_client=shutil.which("podman") or "",
        version=str(properties.get("ServerVersion") or ""),
        storage=str(properties.get("Driver") or ""),
        root=root,
        free=free_bytes(root),
        runtimes=tuple(sorted(properties.get("Runtimes") or {})),
        cdi=bool(properties.get("CDISpecDirs")) or podman,
        seccomp=any("seccomp" in str(option) for option in security),
        open_files=None if podman else _open_files_limit(),
        ports=_published_ports(client),
        image=_image(client, platform),
    )


def free_bytes(folder: str) -> int | None:
    """Return the bytes that this user can write where a folder is or will be; None if it is not on this host."""
    for path in (Path(folder), *Path(folder).parents) if folder else ():
        if sysfs.exists(path):
            return shutil.disk_usage(path).free
    return None


def builder() -> str:
    """Return the tool that builds images; "" if there is none with BuildKit."""
    from images.build import backend

    try:
        return backend.choose().name
    except SlipwayError:
        return ""


def _open_files_limit() -> int | None:
    """Return the hard limit of dockerd, which containers inherit."""
    pid = sysfs.read_number(Path("/var/run/docker.pid"))
    if not pid:
        return None
    match = re.search(r"Max open files\s+\S+\s+(\d+)", sysfs.read_text(Path(f"/proc/{pid}/limits")))
    return int(match.group(1)) if match else None


def _published_ports(client: DockerClient) -> tuple[tuple[int, str], ...]:
    published = []
    for container in client.api.containers():
        name = (container.get("Names") or ["?"])[0].lstrip("/")
        ports = (port.get("PublicPort") for port in container.get("Ports") or ())
        published += [(int(port), name) for port in ports if port]
    return tuple(published)


def _locked_image(platform: str) -> ImageFacts:
    from images.build.local_name import reference
    from images.lock.lockfile import load

    return ImageFacts(reference(load().image(platform)), size=thresholds().image_bytes.value.get(platform))


def _image(client: DockerClient, platform: str) -> ImageFacts:
    """Return the image that `invoke build` makes for the platform, with its capabilities if it is present."""
    from docker.errors import APIError, ImageNotFound

    from images.capabilities import from_labels

    locked = _locked_image(platform)
    try:
        labels = client.images.get(locked.reference).labels
    except (ImageNotFound, APIError, KeyError):
        return locked
    capabilities = from_labels(labels)
    if not capabilities:
        return ImageFacts(locked.reference, present=True)
    return ImageFacts(
        locked.reference, True, None, capabilities.cuda, capabilities.hip, capabilities.gpu_archs
    )
