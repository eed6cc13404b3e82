"""Checks of AMD's device nodes and kernel settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.doctor.facts import Device, Kernel
from tests.unit.launch.doctor.hosts import (
    cpu,
    only_problem,
    problems,
    rocm,
)  # fmt: skip


def nodes(**changed: Any) -> tuple[Device, ...]:
    good = rocm().devices
    return (replace(good[0], **changed), *good[1:])


@pytest.mark.parametrize(
    ("change", "severity", "fix"),
    [
        ({"present": False}, "error", "modprobe amdgpu"),
        ({"usable": False, "gid": 992, "group": "render"}, "warning", "usermod -a -G render anna"),
        ({"usable": False, "gid": 992, "group": ""}, "warning", "usermod -a -G 992 anna"),
        ({"usable": False, "gid": 44, "group": "video"}, "warning", "chmod g+rw /dev/kfd"),
    ],
)
def test_device_nodes_finds_missing_nodes_and_permissions(
    change: dict[str, Any], severity: str, fix: str
) -> None:
    found = only_problem(rocm(devices=nodes(**change)))
    assert found.severity == severity
    assert fix in found.fix


def test_device_nodes_warns_of_one_missing_gpu_and_fails_without_any() -> None:
    kfd, first, *others = rocm().devices
    found = only_problem(rocm(devices=(kfd, replace(first, present=False), *others)))
    assert (found.severity, found.why) == ("warning", "1 GPU cannot be used")
    none = tuple(replace(node, present=False) for node in (first, *others))
    assert only_problem(rocm(devices=(kfd, *none))).severity == "error"


@pytest.mark.parametrize(
    ("kernel", "fix"),
    [(Kernel(1, "identity", 90), "sysctl -w kernel.numa_balancing=0"), (Kernel(0, "DMA", 90), "iommu=pt")],
)
def test_amd_finds_kernel_settings(kernel: Kernel, fix: str) -> None:
    assert fix in only_problem(rocm(kernel=kernel)).fix
    assert problems(cpu(kernel=kernel)) == []
