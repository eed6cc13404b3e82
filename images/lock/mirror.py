"""Copy base images and single wheels to a registry of the user's own, because upstream deletes old builds."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from errors import Failed
from images.lock.pin import Sources
from images.lock.schema import Base, ImageInputs, Wheel
from images.registry import client, copy
from images.registry.copy import Show
from launch import atomic_write
from launch.http.client import get
from launch.spec.image_reference import ImageReference

W = TypeVar("W", bound=Wheel)
MEDIA_TYPE = "application/vnd.slipway.wheel.v1+zip"


def copy_inputs(entry: ImageInputs, to: str, sources: Sources, show: Show) -> ImageInputs:
    """Copy an image's base and single wheels below `to` (REGISTRY[/PREFIX]); return the updated entry."""
    return replace(
        entry,
        base=_base(entry.base, to, sources, show),
        vllm=_wheel(entry.vllm, to, sources, show),
        deep_gemm=_wheel(entry.deep_gemm, to, sources, show) if entry.deep_gemm else None,
    )


def _base(base: Base, to: str, sources: Sources, show: Show) -> Base:
    image = ImageReference.parse(base.repository)
    target = _below(to, image.repository)
    source = sources.registry(image.registry)
    manifest = source.resolve(image.repository, base.digest)
    registry = sources.registry(target.registry)
    digest = copy.image(source, image.repository, manifest, registry, target.repository, show)
    return replace(base, mirror=f"{target.name}@{digest}")


def _wheel(wheel: W, to: str, sources: Sources, show: Show) -> W:
    """Copy a wheel that is installed from a URL; return it with its mirror."""
    if not wheel.wheel:
        return wheel
    target = _below(to, f"wheels/{wheel.package.lower()}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel.file)
        _save(get(wheel.wheel).chunks(), path, wheel.sha256, wheel.wheel)
        registry = sources.registry(target.registry)
        digest = copy.file(path, wheel.sha256, registry, target.repository, MEDIA_TYPE, show)
    return replace(wheel, mirror=f"{target.name}@{digest}")


def _below(to: str, repository: str) -> ImageReference:
    """Return the repository below the prefix of `to` (REGISTRY[/PREFIX])."""
    registry, _, prefix = to.partition("/")
    return ImageReference(registry, f"{prefix.strip('/')}/{repository}".lstrip("/"))


def wheels(pins: ImageInputs, folder: Path, urls: dict[str, str] | None = None) -> Iterator[Path]:
    """Yield an image's mirrored wheels as files below `folder`; each is downloaded once and verified."""
    for wheel in pins.single_wheels:
        if not wheel.mirror:
            continue
        path = folder / wheel.sha256[:12] / wheel.file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            mirror = ImageReference.parse(wheel.mirror)
            registry = client.connect(mirror.registry, urls)
            registry.manifest(mirror.repository, mirror.digest)
            content = registry.blob(mirror.repository, f"sha256:{wheel.sha256}")
            _save(content, path, wheel.sha256, wheel.mirror)
        yield path


def _save(chunks: Iterator[bytes], path: Path, sha256: str, source: str) -> None:
    """Write a file under its name only after its hash was verified."""
    actual = hashlib.sha256()
    with atomic_write.new_file(path) as file:
        for chunk in chunks:
            actual.update(chunk)
            file.write(chunk)
        if actual.hexdigest() != sha256:
            raise Failed(f"{source} is not the pinned wheel", why=f"its sha256 is {actual.hexdigest()}")
