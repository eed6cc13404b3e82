"""GPUs and the machines that hold them, from `gpus.yaml` and from the taxonomy of a recipes folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
PLATFORMS = {"NVIDIA": "cuda", "AMD": "rocm"}


@dataclass(frozen=True)
class Hardware:
    """One kind of GPU and the usual machine around it. `per_node` 0: as many ranks as one likes (CPU)."""

    id: str
    brand: str = ""
    generation: str = ""
    vram_gib: float = 0.0
    per_node: int = 8
    arch: str = ""
    formats: tuple[str, ...] = ()
    scalable: bool = True  # can be joined with others into one deployment
    restricted: bool = False  # offered only where a recipe names it
    source: str = ""

    @property
    def platform(self) -> str:
        """cuda, rocm, or the generation where that is the platform: cpu, tpu, xpu, npu."""
        return PLATFORMS.get(self.brand, self.generation)

    def pick(self, table: Mapping[str, T]) -> tuple[str, T] | None:
        """The entry for this GPU: exact id, else generation, else brand."""
        keys = (self.id, self.generation, self.brand.lower())
        return next(((key, table[key]) for key in keys if key in table), None)

    def pick_wide(self, table: Mapping[str, T]) -> tuple[str, T] | None:
        """The entry for its generation or brand; exact ids stand in a layer of their own."""
        return next(
            ((key, table[key]) for key in (self.generation, self.brand.lower()) if key in table), None
        )


@cache
def known() -> dict[str, Hardware]:
    """Our own table, by id."""
    rows = yaml.safe_load((Path(__file__).parent / "gpu_catalog.yaml").read_text())
    return {name: _row(name, row) for name, row in rows.items()}


def _row(name: str, row: Mapping[str, Any]) -> Hardware:
    return Hardware(
        id=name,
        brand=row["brand"],
        generation=row["generation"],
        vram_gib=float(row["vram"]),
        per_node=row["node"],
        arch=row["arch"],
        formats=tuple(row["fp"]),
        restricted=name == "cpu",
        source=row["source"],
    )


def from_profile(name: str, profile: Mapping[str, Any]) -> Hardware:
    """A hardware profile of a taxonomy; what it does not say (architecture, formats) is ours."""
    count = profile.get("gpu_count")
    per_node = count if isinstance(count, int) and count > 0 else 1
    vram = profile.get("vram_gb")
    ours = known().get(name, Hardware(name))
    return Hardware(
        id=name,
        brand=str(profile.get("brand", "")),
        generation=_first(profile.get("generation", profile.get("gpu_generation", ""))),
        vram_gib=float(vram) / per_node if isinstance(vram, (int, float)) else 0.0,
        per_node=per_node,
        arch=ours.arch,
        formats=ours.formats,
        scalable=profile.get("scalable") is not False,
        restricted=profile.get("restricted") is True,
        source="taxonomy.yaml",
    )


def _first(generation: Any) -> str:
    """Cards of two generations count as the first."""
    return str(generation[0] if isinstance(generation, list) and generation else generation)
