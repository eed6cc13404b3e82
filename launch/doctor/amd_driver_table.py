"""AMD's driver by the number that its module shows, and the ROCm releases it goes with, from `amdgpu.yaml`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def _table() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())  # type: ignore[no-any-return]


def release_of(number: str) -> str:
    """The release of a module number, 30.30 for 6.16.13; "" where we know none.

    From 31.40 on the fourth part says it: 6.19.14.31400000 (ROCm/gpu-operator issue 609).
    """
    said = re.fullmatch(r"\d+\.\d+\.\d+\.(\d\d)(\d\d)\d{4}", number, re.ASCII)
    if said:
        return f"{said[1]}.{said[2]}"
    return next((row["release"] for row in _table()["modules"] if row["number"] == number), "")


def supported(release: str) -> tuple[str, ...]:
    """The ROCm releases in a driver's row of AMD's table, oldest first; none where it has no row."""
    rows = (row["rocm"] for row in _table()["supported"] if row["release"] == release)
    return tuple(next(rows, ()))


def drivers_for(rocm: str) -> tuple[str, ...]:
    """The driver releases whose row names a ROCm release, newest first."""
    return tuple(row["release"] for row in _table()["supported"] if rocm in row["rocm"])


def rocm_of(hip: str) -> str:
    """ROCm's release from the HIP version of an image: 7.2 for 7.2.53211-e1a6bc5663; they count alike."""
    found = re.match(r"\d+\.\d+", hip, re.ASCII)
    return found.group() if found else ""
