"""Ids of GPUs, and names that must not match a similar card."""

from __future__ import annotations

import pytest

from launch.hardware import gpu_ids


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
        ("NVIDIA A100-PCIE-40GB", "sm_80", "a100"),
        ("A100-SXM4-40GB", "sm_80", "a100"),  # drivers before 470 leave out the brand
        ("NVIDIA A800 80GB PCIe LC", "sm_80", "a800"),
        ("NVIDIA A800 40GB Active", "sm_80", "a800"),
        ("NVIDIA H100 NVL", "sm_90", "h100"),
        ("NVIDIA H200 NVL", "sm_90", "h200"),
        ("NVIDIA H800", "sm_90", "h800"),
        ("NVIDIA GH200 480GB", "sm_90", "gh200"),
        ("NVIDIA GH200 144G HBM3e", "sm_90", "gh200"),
        ("NVIDIA L40S", "sm_89", "l40s"),
        ("NVIDIA L4", "sm_89", "l4"),
        ("NVIDIA A40", "sm_86", "a40"),
        ("NVIDIA GeForce RTX 4090", "sm_89", "rtx_4090"),
        ("NVIDIA GeForce RTX 3090", "sm_86", "rtx_3090"),
        ("NVIDIA B200", "sm_100", "b200"),
        ("NVIDIA GB200", "sm_100", "gb200"),
        ("NVIDIA B300 SXM6 AC", "sm_103", "b300"),
        ("NVIDIA GB300", "sm_103", "gb300"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "sm_120", "rtx_pro_6000"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "sm_120", "rtx_pro_6000"),
        ("NVIDIA RTX PRO 5000 72GB Blackwell", "sm_120", "rtx_pro_5000"),
        ("NVIDIA GB10", "sm_121", "dgx_spark_gb10"),
        # Virtual GPUs, MIG slices, cards with similar names, and names with another architecture match nothing.
        ("NVIDIA A100-10C", "sm_80", ""),
        ("NVIDIA H100L-94C", "sm_90", ""),
        ("NVIDIA A100X", "sm_80", ""),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "sm_80", ""),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "sm_90", ""),
        ("NVIDIA H20 NVL16", "sm_90", ""),
        ("NVIDIA L40", "sm_89", ""),
        ("NVIDIA GeForce RTX 4090 D", "sm_89", ""),
        ("NVIDIA RTX 6000 Ada Generation", "sm_89", ""),
        ("NVIDIA RTX 6000D", "sm_120", ""),
        ("NVIDIA RTX PRO 5000 Blackwell", "sm_120", ""),  # 48 GB; the recipes mean the card with 72
        ("NVIDIA GeForce RTX 5090 D", "sm_120", ""),
        ("NVIDIA H200", "sm_80", ""),
        ("", "", ""),
    ],
)
def test_nvidia_matches_name_and_architecture(name: str, arch: str, expected: str) -> None:
    assert gpu_ids.nvidia(name, arch) == expected


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
        (0x7408, 440, "mi250x"),
        (0x738C, 480, "mi100"),
        (0x74A0, 912, "mi300a"),
        (0x74B5, 1216, "mi300x"),
        (0x74B6, 320, "mi308x"),
        (0x75A0, 1024, "mi350x"),
        (0x75B3, 1024, "mi355x"),
        (0x1586, 80, ""),
        (0x744C, 384, ""),
    ],
)
def test_amd_matches_device_and_simd_count(device: int, simd: int, expected: str) -> None:
    model = gpu_ids.amd(device, simd)
    assert (model.id if model else "") == expected


def test_table_lists_no_amd_card_twice() -> None:
    rows = gpu_ids.table().amd
    assert len({(row.device, row.simd) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (90402, "gfx942"),
        (90010, "gfx90a"),
        (90500, "gfx950"),
        (110000, "gfx1100"),
        (110501, "gfx1151"),
        (90008, "gfx908"),
        (0, ""),
        (-5, ""),
    ],
)
def test_gfx_names_the_architecture(version: int, expected: str) -> None:
    assert gpu_ids.gfx(version) == expected
