"""Names of GPUs, and what must not be taken for a neighbour."""

import pytest

from launch.hardware import models


@pytest.mark.parametrize(
    ("name", "arch", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "sm_90", "h100"),
        ("NVIDIA H100 PCIe", "sm_90", "h100"),
        ("NVIDIA H200", "sm_90", "h200"),
        ("NVIDIA H20", "sm_90", "h20"),
        ("NVIDIA H20-3e", "sm_90", "h20"),
        ("NVIDIA A100-SXM4-40GB", "sm_80", "a100"),
        ("NVIDIA A100 80GB PCIe", "sm_80", "a100"),
        ("NVIDIA A800-SXM4-80GB", "sm_80", "a800"),
        ("NVIDIA B200", "sm_100", "b200"),
        # Virtual GPUs, cards with like names, and names that lie about their architecture stay themselves.
        ("NVIDIA A100-10C", "sm_80", ""),
        ("NVIDIA H100L-94C", "sm_90", ""),
        ("NVIDIA A100X", "sm_80", ""),
        ("NVIDIA GH200 480GB", "sm_90", ""),
        ("NVIDIA H200", "sm_80", ""),
        ("", "", ""),
    ],
)
def test_nvidia(name: str, arch: str, expected: str) -> None:
    assert models.nvidia(name, arch) == expected


@pytest.mark.parametrize(
    ("device", "simd", "expected"),
    [
        (0x74A1, 1216, "mi300x"),
        (0x74A2, 80, "mi308x"),
        (0x74A5, 1216, "mi325x"),
        (0x75A3, 1024, "mi355x"),
        (0x740F, 416, "mi210"),
        (0x740C, 416, "mi250"),
        (0x740C, 440, "mi250x"),
        (0x740C, 1, ""),
        (0x744C, 384, ""),
    ],
)
def test_amd(device: int, simd: int, expected: str) -> None:
    found = models.amd(device, simd)
    assert (found.id if found else "") == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [(90402, "gfx942"), (90010, "gfx90a"), (90500, "gfx950"), (110000, "gfx1100"), (0, ""), (-5, "")],
)
def test_gfx(version: int, expected: str) -> None:
    assert models.gfx(version) == expected
