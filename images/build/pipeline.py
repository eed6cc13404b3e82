"""Build an image: lock entry, base, context, builder, verification, tag."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from images import host_settings
from images.build import backend as backends
from images.build import base_image, context, verify
from images.build import run as build_run
from images.build.local_name import inputs, reference
from images.lock import mirror
from images.lock.lockfile import LOCK
from images.lock.schema import ImageInputs, LockedImage
from launch import paths
from launch.engine.client import is_podman
from launch.engine.images import Show, find

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True)
class BuildOptions:
    """How to build an image. Empty fields take the default."""

    backend: str = ""
    no_cache: bool = False
    cache_from: str = ""
    cache_to: str = ""
    base: str = ""  # build on this image instead of the pinned base
    proxy: str = ""  # HTTP proxy during the build
    lock: str = ""  # another lock file; the requirements files are in its folder


@dataclass(frozen=True)
class Built:
    """The image that a build made. The size is in bytes; `digest` is set if the image was pushed or pulled."""

    platform: str
    channel: str
    tag: str
    id: str
    size: int
    base: str
    vllm_version: str
    seconds: dict[str, float]
    fresh: bool
    digest: str = ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def request(
    image: LockedImage,
    base: str,
    options: BuildOptions,
    settings: Path | None = None,
    pip: dict[str, str] | None = None,
) -> backends.BuildRequest:
    """Return the build as data. `settings` is the folder with this host's pip and apt settings."""
    args = (
        ("BASE", base),
        ("DEBIAN_PACKAGES", " ".join(image.pins.debian)),
        ("LABELS_CHANNEL", image.channel),
        ("LABELS_LOCK", inputs(image)),
        ("LABELS_VLLM", image.pins.vllm.version),
        ("LABELS_COMMIT", image.pins.vllm.commit),
    )
    secrets = tuple((path.stem, path) for path in sorted(settings.iterdir())) if settings else ()
    bundle = host_settings.ca_bundle(host_settings.pip_settings() if pip is None else pip)
    folder = paths.cache_dir() / "context" / image.name
    return backends.BuildRequest(
        context=folder,
        dockerfile=folder / Path(image.dockerfile).name if image.pins.dockerfile else None,
        build_args=tuple((key, value) for key, value in args if value),
        secrets=(*secrets, ("ca", bundle)) if bundle else secrets,
        no_cache=options.no_cache,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
    )


def build(client: DockerClient, locked: LockedImage, options: BuildOptions, show: Show) -> Built:
    """Build, read the image's capabilities, compare them with the lock, label and tag.

    Raises Failed or Refused; then nothing is tagged.
    """
    builder = choose_builder(client, options.backend)
    tag = reference(locked) + (f"-above-{_hash(options.base)[:8]}" if options.base else "")
    if not options.base and not find(client, tag):
        base_image.require_disk_space(client, locked)
    base = options.base or base_image.ensure(client, locked, show)
    pip = host_settings.pip_settings()
    with _settings(locked.pins, options, pip) as settings:
        wanted = request(locked, base, options, settings, pip)
        fill(wanted.context, locked, pip, Path(options.lock or LOCK).parent)
        image_id, steps = build_run.run(builder, wanted, show)
    image, fresh = verify.verify_and_tag(client, locked, image_id, tag, base, show)
    size, version = image.attrs["Size"], image.labels["slipway.vllm"]
    return Built(
        locked.platform,
        locked.channel,
        tag,
        str(image.id),
        size,
        base,
        version,
        steps.seconds,
        fresh,
        verify.digest(image),
    )


def choose_builder(client: DockerClient, name: str) -> backends.Builder:
    """Return a builder whose images the engine sees: podman and Docker have separate image stores."""
    podman = is_podman(client)
    builder = backends.choose(name or ("podman" if podman else ""))
    if builder.name == "podman" and not podman:
        raise Failed(
            "podman cannot build for Docker"
            if name
            else "the engine is Docker, but only podman can build here",
            why="an image that podman builds is not in Docker's store",
            fix="set DOCKER_HOST=unix:///run/podman/podman.sock to use podman, or install docker-buildx",
        )
    return builder


@contextmanager
def _settings(pins: ImageInputs, options: BuildOptions, pip: dict[str, str]) -> Iterator[Path]:
    """Write this host's pip and apt settings to files that only this user can read, and remove them at the end."""
    has_local = any(context.local_wheels(pip, pins.python.wheels))
    uv = host_settings.uv_environment(pip, "" if has_local else pins.python.index, options.proxy)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pip.env").write_text(host_settings.as_shell_file(uv))
        Path(folder, "apt.conf").write_text(host_settings.apt_settings(options.proxy))
        yield Path(folder)


def fill(folder: Path, image: LockedImage, pip: dict[str, str], lock_folder: Path) -> None:
    """Write the build context to a folder. Raises Failed if it cannot be written."""
    try:
        paths.writable(folder)
        local = context.local_wheels(pip, image.pins.python.wheels)
        wheels = [*local, *mirror.wheels(image.pins, paths.cache_dir() / "wheels")]
        context.assemble(folder, image, wheels, lock_folder)
    except OSError as error:
        raise Failed(
            f"cannot write the build context to '{folder}'",
            why=str(error).splitlines()[0][:300],
            fix="free some disk space, or set SLIPWAY_STATE_DIR to another folder",
        ) from None
