"""Kinds of GPU and the machines that hold them, from `gpu_catalog.yaml` and from the taxonomy of a recipes folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from launch.checked_data.data_file import load

T = TypeVar("T")
PLATFORMS = {"NVIDIA": "cuda", "AMD": "rocm"}
# Of a card whose driver's number is not in the table: the smallest share of the data sheet's GB in it (L4, with ECC).
SMALLEST_SHARE = 0.918
PCIE_ARCHS = ("sm_86", "sm_89", "sm_120", "sm_121")
NAME = re.compile(r"[A-Za-z0-9 _-]+")
CUDA_CODE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)", re.ASCII)


@dataclass(frozen=True)
class HardwareProfile:
    """One kind of GPU and the usual machine around it."""

    id: str = ""
    brand: str = ""
    generation: str = ""
    vram_gib: float = 0.0  # GB of the data sheet
    driver_gib: float | None = None  # what the driver lets a process use; None: not known
    driver_source: str = ""
    per_node: int = 8  # 0: any number of ranks (CPU)
    arch: str = ""
    formats: tuple[str, ...] = ()
    scalable: bool = True  # several machines can serve one model together
    restricted: bool = False  # offered only by recipes that name it
    source: str = ""
    also: tuple[str, ...] = ()  # other names

    @property
    def fast_links(self) -> bool:
        """Return whether the GPUs of a usual machine are connected faster than by PCIe: not workstation cards."""
        return self.arch not in PCIE_ARCHS

    @property
    def memory_gib(self) -> float:
        """Return the GiB that a process can use on one GPU, 0 if nothing is known."""
        return self.driver_gib if self.driver_gib is not None else self.vram_gib * SMALLEST_SHARE

    @property
    def platform(self) -> str:
        """Return cuda or rocm; for other brands the generation (cpu, tpu, xpu, npu)."""
        return PLATFORMS.get(self.brand, self.generation)

    def pick(self, table: Mapping[str, T]) -> tuple[str, T] | None:
        """Return the entry for this GPU: by exact id, then by generation, then by brand."""
        keys = (self.id, self.generation, self.brand.lower())
        return next(((key, table[key]) for key in keys if key in table), None)

    def pick_wide(self, table: Mapping[str, T]) -> tuple[str, T] | None:
        """Return the entry for the generation or the brand; entries by exact id are a layer of their own."""
        return next(
            ((key, table[key]) for key in (self.generation, self.brand.lower()) if key in table), None
        )


@cache
def catalog() -> dict[str, HardwareProfile]:
    """Return Slipway's own table, by id."""
    rows = load(Path(__file__).with_suffix(".yaml"), dict[str, HardwareProfile])
    return {name: replace(row, id=name) for name, row in rows.items()}


def find(profiles: Mapping[str, HardwareProfile], name: str) -> HardwareProfile | None:
    """Return the hardware of this name: an id, or another name of it, in any case, with blanks, - or _."""
    if name in profiles:
        return profiles[name]
    plain = _plain(name) if NAME.fullmatch(name) else ""
    named = (row for row in profiles.values() if plain in map(_plain, (row.id, *row.also)))
    return next(named, None) if plain else None


def _plain(name: str) -> str:
    """Return a name without case, separators and the maker's words."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return "".join(word for word in words if word not in ("nvidia", "amd", "geforce", "instinct"))


def from_taxonomy(name: str, row: Mapping[str, Any]) -> HardwareProfile:
    """Return a hardware profile of a taxonomy; architecture and formats come from Slipway's own table."""
    count, vram = row.get("gpu_count"), row.get("vram_gb")
    per_node = count if isinstance(count, int) and count > 0 else 1
    listed = catalog().get(re.sub(r"_\d+x$", "", name), HardwareProfile())  # rtx_pro_6000_2x has two of them
    return HardwareProfile(
        id=name,
        brand=str(row.get("brand", "")),
        generation=_first(row.get("generation", row.get("gpu_generation", ""))),
        vram_gib=float(vram) / per_node if isinstance(vram, (int, float)) else 0.0,
        driver_gib=listed.driver_gib,
        driver_source=listed.driver_source,
        per_node=per_node,
        arch=listed.arch,
        formats=listed.formats,
        scalable=row.get("scalable") is not False,
        restricted=row.get("restricted") is True,
        source="taxonomy.yaml",
        also=listed.also,
    )


def _first(generation: Any) -> str:
    """Return the generation; of a card that is listed under two, the first."""
    return str(generation[0] if isinstance(generation, list) and generation else generation)


def runs_code(arch: str, built: str) -> bool:
    """Return whether a GPU of architecture `arch` runs code that was compiled for `built`.

    NVIDIA, CUDA C++ Programming Guide, "Compute Capabilities": sm_86 runs on later minor revisions of its
    major, compute_86 (PTX) on everything later, a suffix `a` on that architecture alone, `f` on its family.
    AMD, LLVM AMDGPU target ids: gfx942:xnack- runs on gfx942 if its mode is xnack-, or not known.
    """
    code, gpu = CUDA_CODE.fullmatch(built), CUDA_CODE.fullmatch(arch)
    if code and gpu:
        kind, *wanted, suffix = code.groups()
        need, have = tuple(map(int, wanted)), tuple(map(int, gpu.group(2, 3)))
        if suffix == "a":
            return have == need
        return have >= need if kind == "compute" and not suffix else have[0] == need[0] and have >= need
    processor, *modes = built.split(":")
    known, *known_modes = arch.split(":")
    return processor == known and all(_mode_fits(mode, known_modes) for mode in modes)


def _mode_fits(mode: str, known: list[str]) -> bool:
    opposite = mode[:-1] + ("-" if mode.endswith("+") else "+")
    return opposite not in known
