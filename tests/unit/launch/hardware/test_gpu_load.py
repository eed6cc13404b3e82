"""Read use, power and memory of GPUs of both vendors."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from launch.hardware import gpu_load
from launch.hardware.gpu_load import GpuLoad
from launch.hardware.types import Gpu

H100, MI300X = Gpu(0, "nvidia"), Gpu(1, "amd", pci="0000:c1:00.0")


class NVMLError(Exception):
    """What NVML raises."""


def raise_error(*_: object) -> None:
    raise NVMLError


def nvml(**functions: object) -> SimpleNamespace:
    """Return a library with the functions of one GPU; those that are not given raise an error."""
    names = ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetMemoryInfo")
    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: "handle", **{**dict.fromkeys(names, raise_error), **functions},
    )  # fmt: skip


def test_nvidia_values_are_a_share_watts_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    library = nvml(
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=87),
        nvmlDeviceGetPowerUsage=lambda handle: 612_500,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=70 << 30, total=80 << 30),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert gpu_load.read([H100]) == (GpuLoad(0, 0.87, 612.5, 70 << 30, 80 << 30),)


def test_nvidia_values_that_are_not_reported_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert gpu_load.read([H100]) == (GpuLoad(0),)


def test_a_driver_that_is_gone_leaves_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    library = nvml()
    library.nvmlInit = raise_error
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert gpu_load.read([H100]) == (GpuLoad(0),)


@pytest.mark.parametrize("sensor", ["power1_average", "power1_input"])
def test_amd_values_come_from_the_pci_folder(tmp_path: Path, sensor: str) -> None:
    folder = tmp_path / "sys/bus/pci/devices/0000:c1:00.0"
    (folder / "hwmon/hwmon3").mkdir(parents=True)
    values = {
        "gpu_busy_percent": 99,
        "mem_info_vram_used": 150 << 30,
        "mem_info_vram_total": 192 << 30,
        f"hwmon/hwmon3/{sensor}": 540_000_000,
    }
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")
    assert gpu_load.read([MI300X], tmp_path) == (GpuLoad(1, 0.99, 540.0, 150 << 30, 192 << 30),)


def test_amd_without_files_has_a_number_only(tmp_path: Path) -> None:
    assert gpu_load.read([MI300X], tmp_path) == (GpuLoad(1),)
