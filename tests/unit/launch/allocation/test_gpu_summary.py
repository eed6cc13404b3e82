"""The GPUs of a container in a few words."""

from __future__ import annotations

import pytest

from launch.allocation.gpu_summary import gpu_summary
from launch.hardware.types import Gpu, GpuPartition

NVIDIA = [Gpu(i, "nvidia", "NVIDIA H200", "h200", uuid=f"GPU-{i}") for i in range(8)]
AMD = [
    Gpu(
        i,
        "amd",
        "MI300X",
        "mi300x",
        parts=tuple(GpuPartition(n, f"/dev/dri/renderD{128 + 2 * i + n}") for n in (0, 1)),
    )
    for i in range(4)
]


@pytest.mark.parametrize(
    ("label", "gpus", "summary"),
    [
        ("GPU-0,GPU-1,GPU-2,GPU-3", NVIDIA, "0-3 (4 x H200)"),
        ("GPU-0,GPU-2,GPU-3,GPU-7", NVIDIA, "0,2-3,7 (4 x H200)"),
        ("nvidia.com/gpu=GPU-5", NVIDIA, "5 (1 x H200)"),
        ("all", NVIDIA, "0-7 (8 x H200)"),
        ("0,1", NVIDIA, "0-1 (2 x H200)"),
        (",".join(f"/dev/dri/renderD{128 + n}" for n in range(8)), AMD, "0-3 (4 x MI300X)"),
        ("GPU-0,GPU-1", [], "2 unknown"),
        ("", NVIDIA, ""),
        ("GPU-0", [Gpu(0, "nvidia", uuid="GPU-0", arch="sm_90")], "0 (1 x SM_90)"),
    ],
)
def test_gpu_summary_names_indices_count_and_kind(label: str, gpus: list[Gpu], summary: str) -> None:
    assert gpu_summary(label, gpus) == summary
