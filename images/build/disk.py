"""Is there room for the build? Asked before: an engine that runs full takes its neighbours with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from errors import Failed
from images.lock.lockfile import family

# GB a build needs at its peak: layers, the builder's cache, the image. Measured for wheels (docs/explanation/measurements.md); for the
# others twice the 20 GB that upstream's images take.
_NEEDS = {"cpu": 5, "cuda": 40, "rocm": 40, "cuda-wheel": 30}


def check(client: Any, name: str) -> None:
    """Raises Failed when the engine's disk has too little; says nothing about a remote engine."""
    place = Path(client.info().get("DockerRootDir") or "/nowhere")
    if not place.exists():
        return
    need, free = _NEEDS.get(name, _NEEDS[family(name)]), shutil.disk_usage(place).free / 1e9
    if free < need:
        raise Failed(
            f"not enough disk space to build {name}",
            why=f"{place} has {free:.1f} GB free, the build needs about {need} GB",
            fix="docker system df shows what the engine keeps; docker image rm what you no longer need",
        )
