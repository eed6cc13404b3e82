"""Map the number of AMD's driver module to its release, and that to ROCm releases, by `amd_driver_table.yaml`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launch.checked_data.data_file import load


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
    """Return the release of a module number, 30.30 for 6.16.13; "" if the table does not list it.

    Since 31.40 the fourth part contains it: 6.19.14.31400000 (ROCm/gpu-operator issue 609).
    """
    if match := re.fullmatch(r"\d+\.\d+\.\d+\.(\d\d)(\d\d)\d{4}", number, re.ASCII):
        return f"{match[1]}.{match[2]}"
    return next((row.release for row in table().modules if row.number == number), "")


def supported_rocm(release: str) -> tuple[str, ...]:
    """Return the ROCm releases that AMD supports with a driver, oldest first; () if it has no row."""
    rows = (row.rocm for row in table().supported if row.release == release)
    return next(rows, ())


def drivers_for(rocm: str) -> tuple[str, ...]:
    """Return the driver releases that AMD supports with a ROCm release, newest first."""
    return tuple(row.release for row in table().supported if rocm in row.rocm)


def rocm_of(hip: str) -> str:
    """Return the ROCm release of a HIP version: 7.2 for 7.2.53211-e1a6bc5663. Both have the same numbers."""
    match = re.match(r"\d+\.\d+", hip, re.ASCII)
    return match.group() if match else ""
