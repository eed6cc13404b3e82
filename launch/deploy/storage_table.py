"""How large a claim for weights is, what the pod that fetches them asks for, and drivers of disks of one node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path

from launch.checked_data.data_file import load

GIB = 2**30


@dataclass(frozen=True)
class Amount:
    """A number with its source."""

    value: float
    source: str


@dataclass(frozen=True)
class Quantity:
    """An amount as Kubernetes writes it, with its source."""

    value: str
    source: str


@dataclass(frozen=True)
class Driver:
    """A driver of volumes that only one node can mount."""

    driver: str
    source: str


@dataclass(frozen=True)
class StorageTable:
    """The content of storage.yaml."""

    reserve: dict[str, Amount]
    fetch: dict[str, Quantity]
    one_node: tuple[Driver, ...]


@cache
def table() -> StorageTable:
    """Return the reserve of a claim, the resources of the Job, and the drivers of one node."""
    return load(Path(__file__).with_name("storage.yaml"), StorageTable)


def size_gib(weights: int) -> int:
    """Return the GiB of a claim that holds this many bytes of weights."""
    reserve = table().reserve
    return ceil(round(weights * (1 + reserve["share"].value) / GIB, 6) + reserve["gib"].value)
