"""Read clocks, limits, temperature and energy of GPUs of both vendors."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from launch.hardware import gpu_state
from launch.hardware.gpu_state import GpuState, throttle_reasons
from launch.hardware.types import Gpu

H100, MI300X = Gpu(0, "nvidia"), Gpu(0, "amd", pci="0000:c1:00.0")


class NVMLError(Exception):
    """What NVML raises."""


def nvml(**functions: object) -> SimpleNamespace:
    """Return a library with the functions of one GPU; a function that is an error raises it."""

    def unsupported(*_: object) -> None:
        raise NVMLError

    names = (
        "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetTemperature",
    )  # fmt: skip
    return SimpleNamespace(
        NVMLError=NVMLError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None, nvmlShutdown=lambda: None, nvmlDeviceGetHandleByIndex=lambda index: "handle",
        **{**dict.fromkeys(names, unsupported), **functions},
    )  # fmt: skip


def test_nvidia_values_are_in_watts_joules_and_megahertz(monkeypatch: pytest.MonkeyPatch) -> None:
    library = nvml(
        nvmlDeviceGetEnforcedPowerLimit=lambda handle: 700_000,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 1_500,
        nvmlDeviceGetClockInfo=lambda handle, kind: {1: 1980, 2: 2619}[kind],
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x4 | 0x1,
        nvmlDeviceGetTemperature=lambda handle, sensor: 61,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert gpu_state.read([H100]) == (GpuState("GPU 0", 1980, 2619, 700, 61, ("power limit",), 1.5),)


def test_nvidia_values_that_a_gpu_does_not_report_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert gpu_state.read([H100]) == (GpuState("GPU 0"),)


def test_a_driver_that_is_gone_leaves_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise NVMLError

    library = nvml()
    library.nvmlInit = gone
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert gpu_state.read([H100]) == (GpuState("GPU 0"),)


def test_amd_values_come_from_hwmon(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/pci/devices/0000:c1:00.0/hwmon/hwmon3"
    folder.mkdir(parents=True)
    values = {"freq1_input": 2100000000, "power1_cap": 750000000, "temp1_input": 45000}
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")
    assert gpu_state.read([MI300X], tmp_path) == (GpuState("GPU 0", 2100, None, 750, 45),)


def test_amd_without_hwmon_has_a_name_only(tmp_path: Path) -> None:
    assert gpu_state.read([MI300X], tmp_path) == (GpuState("GPU 0"),)


@pytest.mark.parametrize(
    ("bits", "names"),
    [(0, ()), (0x1 | 0x2, ()), (0x8 | 0x40, ("hardware slowdown", "temperature (hardware)"))],
)
def test_throttle_reasons_leave_out_idle_gpus_and_clocks_of_the_user(
    bits: int, names: tuple[str, ...]
) -> None:
    assert throttle_reasons(bits) == names
