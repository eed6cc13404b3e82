"""The values that the checks compare with, from `thresholds.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from launch.checked_data.data_file import load

T = TypeVar("T")


@dataclass(frozen=True)
class Threshold(Generic[T]):
    """A value and its source."""

    value: T
    source: str


@dataclass(frozen=True)
class Thresholds:
    """The rows of thresholds.yaml, which says what each is."""

    oldest_driver: Threshold[dict[str, int]]
    compatible_drivers: Threshold[dict[str, tuple[int, ...]]]
    image_bytes: Threshold[dict[str, int]]
    open_files: Threshold[int]
    clock_skew_seconds: Threshold[int]
    spare_disk_bytes: Threshold[int]


@cache
def thresholds() -> Thresholds:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), Thresholds)
