"""From what a driver calls a GPU to the id that recipes know it by, by the table in `models.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class AmdModel:
    """A PCI device id, with the number of SIMDs a KFD node where several cards share the id (0: any)."""

    device: int
    simd: int
    id: str
    name: str


@cache
def _table() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load(Path(__file__).with_name("gpu_ids.yaml").read_text())  # type: ignore[no-any-return]


def amd(device: int, simd: int) -> AmdModel | None:
    """The card with this PCI device id, or None where the table has none."""
    rows = [row for row in _table()["amd"] if row["device"] == device and row.get("simd", simd) == simd]
    return AmdModel(device, simd, rows[0]["id"], rows[0]["name"]) if rows else None


def nvidia(name: str, arch: str) -> str:
    """The id of an NVML name, "" where the table has none or the architecture is another one's."""
    bare = name.removeprefix("NVIDIA ").strip()
    for row in _table()["nvidia"]:
        if row["arch"] == arch and any(fnmatchcase(bare, pattern) for pattern in row["names"]):
            return str(row["id"])
    return ""


def gfx(version: int) -> str:
    """KFD's gfx_target_version as the compiler's name: 90402 is gfx942, 90010 is gfx90a."""
    if version <= 0:
        return ""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
