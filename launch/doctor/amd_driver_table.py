"""Map the number of AMD's driver module to its release, and that to ROCm releases, by `amd_driver_table.yaml`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launch.data_file import load


@dataclass(frozen=True)
class ModuleNumber:
    """The number that a driver's module shows, and the driver's release."""

    number: str
    release: str
    source: str


@dataclass(frozen=True)
class SupportedRocm:
    """The ROCm releases that AMD supports with a release of the driver."""

    release: str
    rocm: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class DriverTable:
    """The rows of amd_driver_table.yaml."""

    modules: tuple[ModuleNumber, ...]
    supported: tuple[SupportedRocm, ...]


@cache
def table() -> DriverTable:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), DriverTable)


def release_of(number: str) -> str:
    """The release of a module number, 30.30 for 6.16.13; "" where we know none.

    From 31.40 on the fourth part says it: 6.19.14.31400000 (ROCm/gpu-operator issue 609).
    """
    said = re.fullmatch(r"\d+\.\d+\.\d+\.(\d\d)(\d\d)\d{4}", number, re.ASCII)
    if said:
        return f"{said[1]}.{said[2]}"
    return next((row.release for row in table().modules if row.number == number), "")


def supported(release: str) -> tuple[str, ...]:
    """The ROCm releases in a driver's row of AMD's table, oldest first; none where it has no row."""
    rows = (row.rocm for row in table().supported if row.release == release)
    return next(rows, ())


def drivers_for(rocm: str) -> tuple[str, ...]:
    """The driver releases whose row names a ROCm release, newest first."""
    return tuple(row.release for row in table().supported if rocm in row.rocm)


def rocm_of(hip: str) -> str:
    """ROCm's release from the HIP version of an image: 7.2 for 7.2.53211-e1a6bc5663; they count alike."""
    found = re.match(r"\d+\.\d+", hip, re.ASCII)
    return found.group() if found else ""
