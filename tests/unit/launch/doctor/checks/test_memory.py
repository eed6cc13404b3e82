"""Checks of memory."""

from __future__ import annotations

from dataclasses import replace

from launch.hardware.types import Hardware
from tests.unit.launch.doctor.hosts import (
    CPU,
    GIB,
    cuda,
    only_problem,
)  # fmt: skip


def test_shared_needs_memory_for_shm() -> None:
    short = Hardware(replace(CPU, available=8 * GIB), nvidia=cuda().hardware.nvidia)
    assert only_problem(cuda(hardware=short)).check == "shm"
