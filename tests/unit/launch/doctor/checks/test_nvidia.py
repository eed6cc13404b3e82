"""Checks of NVIDIA's driver, container toolkit and CDI specs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.hardware.cdi import CdiSpec
from tests.unit.launch.doctor.hosts import (
    cuda,
    nvidia,
    only_problem,
    problems,
    with_image,
)  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "severity", "fix"),
    [
        ("580.65.06", None, ""),
        ("590.10", None, ""),
        ("570.86.15", "warning", "VLLM_ENABLE_CUDA_COMPATIBILITY=1"),
        ("550.54.15", "error", "install driver 580"),
    ],
)
def test_driver_is_compared_with_the_image(driver: str, severity: str | None, fix: str) -> None:
    found = problems(cuda(hardware=nvidia(driver=driver), specs=()))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(fix in f.fix for f in found)


def test_kernels_finds_an_image_without_kernels_for_the_gpu() -> None:
    found = only_problem(cuda(engine=with_image(cuda="13.0", archs=("sm_100", "sm_120"))))
    assert "no kernels for sm_90" in found.what
    assert problems(cuda(hardware=nvidia(), engine=with_image(cuda="13.0", archs=("sm_80", "sm_90")))) == []


def test_toolkit_finds_neither_toolkit_nor_cdi() -> None:
    engine = replace(with_image(cuda="13.0"), runtimes=("runc",))
    assert "could not select device driver" in only_problem(cuda(engine=engine, toolkit="", specs=())).why


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            CdiSpec("/etc/cdi/nvidia.yaml", error="JSONDecodeError: line 3"),
            "cannot read /etc/cdi/nvidia.yaml: JSONDecodeError",
        ),
        (CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0",), ("570.1",)), "is for driver 570.1"),
        (
            CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0",), (), ("/dev/nvidia9",)),
            "names /dev/nvidia9",
        ),
    ],
)
def test_cdi_finds_broken_and_outdated_specs(spec: CdiSpec, text: str) -> None:
    found = only_problem(cuda(specs=(spec,)))
    assert text in found.what
    assert (found.severity, found.fix) == (
        "error",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    )
