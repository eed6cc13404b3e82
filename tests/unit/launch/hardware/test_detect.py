"""The CPU, the PCI bus, and the platform of a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Refused
from launch.hardware import cpu, detect, pci
from launch.hardware.types import Gpu, Hardware, PciGpu, VendorReport
from tests.unit.launch.hardware.trees import mi300x, write

CPUINFO = """processor\t: {n}
model name\t: AMD EPYC 9654 96-Core Processor
physical id\t: 0
core id\t\t: {core}
flags\t\t: fpu avx2 avx512f avx512_bf16
"""


def test_cpu_read_separates_threads_and_cores(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "\n".join(CPUINFO.format(n=n, core=n // 2) for n in range(8)))
    write(tmp_path / "proc/meminfo", "MemTotal:  2048 kB\nMemAvailable: 1024 kB\nHugePages_Total: 0")
    for node in range(2):
        (tmp_path / f"sys/devices/system/node/node{node}").mkdir(parents=True)
    host = cpu.read(tmp_path)
    assert (host.cores, host.threads, host.nodes) == (4, 8, 2)
    assert (host.memory, host.available) == (2 << 20, 1 << 20)
    assert host.features == ("avx2", "avx512", "avx512_bf16")


def test_cpu_read_on_arm_counts_threads_as_cores(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "processor: 0\nFeatures: fp asimd\n\nprocessor: 1\nFeatures: fp asimd")
    assert (cpu.read(tmp_path).cores, cpu.read(tmp_path).features) == (2, ())


def test_read_below_an_empty_root(tmp_path: Path) -> None:
    assert cpu.read(tmp_path).threads == 0
    assert pci.read(tmp_path) == ()


def test_pci_read_lists_gpus_only(tmp_path: Path) -> None:
    devices = {"0000:05:00.0": ("0x1002", "0x120000"), "0000:06:00.0": ("0x10de", "0x030200"),
               "0000:07:00.0": ("0x10de", "0x040300"), "0000:08:00.0": ("0x8086", "0x030000")}  # fmt: skip
    for address, (vendor, kind) in devices.items():
        write(tmp_path / f"sys/bus/pci/devices/{address}/vendor", vendor)
        write(tmp_path / f"sys/bus/pci/devices/{address}/class", kind)
        write(tmp_path / f"sys/bus/pci/devices/{address}/device", "0x74a1")
    assert pci.read(tmp_path) == (
        PciGpu("0000:05:00.0", "amd", 0x74A1),
        PciGpu("0000:06:00.0", "nvidia", 0x74A1),
    )


def test_platform_of_follows_the_gpus(tmp_path: Path) -> None:
    assert detect.platform_of(detect.detect(mi300x(tmp_path))) == "rocm"
    assert detect.platform_of(Hardware()) == "cpu"
    assert detect.platform_of(Hardware(pci=(PciGpu("0000:05:00.0", "nvidia", 1),))) == "cuda"


def test_platform_of_refuses_gpus_of_both_vendors() -> None:
    both = Hardware(
        nvidia=VendorReport("nvidia", gpus=(Gpu(0, "nvidia"),)),
        amd=VendorReport("amd", gpus=(Gpu(0, "amd"),)),
    )
    with pytest.raises(Refused, match="NVIDIA and AMD"):
        detect.platform_of(both)
    assert detect.platform_of(both, "rocm") == "rocm"
