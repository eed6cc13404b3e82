"""Map the name that a driver gives a GPU to the id that recipes use, by the table in `gpu_ids.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from launch.checked_data.data_file import load


@dataclass(frozen=True)
class AmdModel:
    """A PCI device id. Cards that share one differ in `simd`, the SIMDs of a KFD node (None: any number)."""

    device: int
    id: str
    name: str
    source: str
    simd: int | None = None


@dataclass(frozen=True)
class NvidiaModel:
    """Names that NVML gives a card, as shell patterns, and the architecture that it has."""

    names: tuple[str, ...]
    arch: str
    id: str
    source: str


@dataclass(frozen=True)
class GpuIds:
    """The rows of gpu_ids.yaml."""

    amd: tuple[AmdModel, ...]
    nvidia: tuple[NvidiaModel, ...]


@cache
def table() -> GpuIds:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), GpuIds)


def amd(device: int, simd: int) -> AmdModel | None:
    """Return the card with this PCI device id, or None if it is not listed."""
    rows = (row for row in table().amd if row.device == device and row.simd in (None, simd))
    return next(rows, None)


def nvidia(name: str, arch: str) -> str:
    """Return the id of the card with this NVML name and architecture, "" if it is not listed."""
    bare = name.removeprefix("NVIDIA ").strip()
    rows = (row for row in table().nvidia if row.arch == arch)
    return next((row.id for row in rows if any(fnmatchcase(bare, pattern) for pattern in row.names)), "")


def gfx(version: int) -> str:
    """Return the compiler's name of KFD's gfx_target_version: gfx942 for 90402, gfx90a for 90010."""
    if version <= 0:
        return ""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
