"""Our own copies in a registry: bases and single wheels, for the day when upstream deletes its own."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from errors import Failed
from images.lock.lockfile import Base, Platform, Wheel
from images.lock.pin import Sources
from images.registry import client, copy, reference
from launch.http.client import get

Show = Callable[[float, float | None, str], None]
MEDIA_TYPE = "application/vnd.slipway.wheel.v1+zip"


def keep(entry: Platform, to: str, sources: Sources, show: Show) -> Platform:
    """The platform with its base and its single wheels copied below `to` (registry[/prefix]) and recorded."""
    found = {"base": _base(entry.base, to, sources, show)}
    wheels = {
        name: _wheel(wheel, to, sources, show)
        for name, wheel in (("vllm", entry.vllm), ("deep_gemm", entry.deep_gemm))
        if wheel and wheel.wheel
    }
    return entry.model_copy(update={**found, **wheels})


def _base(base: Base, to: str, sources: Sources, show: Show) -> Base:
    host, repository, _ = reference.split(base.repository)
    there = sources.registry(host)
    found = there.resolve(repository, base.digest)
    target_host, target = _below(to, repository)
    digest = copy.image(there, repository, found, sources.registry(target_host), target, show)
    return base.model_copy(update={"mirror": f"{target_host}/{target}@{digest}"})


def _wheel(wheel: Wheel, to: str, sources: Sources, show: Show) -> Wheel:
    host, target = _below(to, f"wheels/{wheel.package.lower()}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel.file)
        _save(get(wheel.wheel).chunks(), path, wheel.sha256, wheel.wheel)
        digest = copy.file(path, wheel.sha256, sources.registry(host), target, MEDIA_TYPE, show)
    return wheel.model_copy(update={"mirror": f"{host}/{target}@{digest}"})


def _below(to: str, name: str) -> tuple[str, str]:
    """`registry[/prefix]` as the host and the repository for `name` below the prefix."""
    host, _, prefix = to.partition("/")
    return host, f"{prefix.strip('/')}/{name}".lstrip("/")


def wheels(platform: Platform, folder: Path, urls: dict[str, str] | None = None) -> Iterator[Path]:
    """A platform's mirrored wheels as files with their own names, fetched once, checked by sha256."""
    for wheel in platform.single_wheels:
        if not wheel.mirror:
            continue
        path = folder / wheel.sha256[:12] / wheel.file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            host, repository, digest = reference.split(wheel.mirror)
            there = client.connect(host, urls)
            there.manifest(repository, digest)
            _save(there.blob(repository, f"sha256:{wheel.sha256}"), path, wheel.sha256, wheel.mirror)
        yield path


def _save(pieces: Iterator[bytes], path: Path, sha256: str, where: str) -> None:
    """Write beside the place, check, rename: a file that is there is whole."""
    seen, beside = hashlib.sha256(), path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            for piece in pieces:
                seen.update(piece)
                file.write(piece)
        if seen.hexdigest() != sha256:
            raise Failed(f"{where} is not the wheel of the lock", why=f"its sha256 is {seen.hexdigest()}")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
