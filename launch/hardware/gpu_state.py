"""Read the state of GPUs at one moment: clocks, power limit, temperature, throttle reasons, energy counter.

NVIDIA: NVML. AMD: the hwmon folder of amdgpu (docs.kernel.org/gpu/amdgpu/thermal.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from launch.hardware import sysfs
from launch.hardware.nvidia import nvml_session, query
from launch.hardware.types import Gpu

# Bits of nvml.h (nvmlClocksEventReason*). Idle GPUs and clocks that the user set are left out.
THROTTLE = {
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x20: "temperature (software)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}


@dataclass(frozen=True)
class GpuState:
    """One GPU at one moment. None: its driver does not report the value."""

    name: str
    clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    throttle: tuple[str, ...] = ()
    energy_joules: float | None = None  # since the driver was loaded


def read(gpus: Sequence[Gpu], root: Path = Path("/")) -> tuple[GpuState, ...]:
    """Return the state of these GPUs. Never raises: what cannot be read is None."""
    nvidia = _nvidia(gpus) if any(gpu.vendor == "nvidia" for gpu in gpus) else {}
    return tuple(nvidia.get(gpu.index) or _amd(gpu, root) for gpu in gpus)


def _nvidia(gpus: Sequence[Gpu]) -> dict[int, GpuState]:
    import pynvml  # type: ignore[import-untyped]

    try:
        with nvml_session(pynvml):
            return dict(_states(pynvml, gpus))
    except pynvml.NVMLError:
        return {}


def _states(nvml: ModuleType, gpus: Sequence[Gpu]) -> Iterator[tuple[int, GpuState]]:
    for gpu in gpus:
        if gpu.vendor == "nvidia" and (handle := query(nvml, nvml.nvmlDeviceGetHandleByIndex, gpu.index)):
            limit = query(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
            energy = query(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
            reasons = query(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
            yield (
                gpu.index,
                GpuState(
                    name=_name(gpu),
                    clock_mhz=query(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
                    memory_clock_mhz=query(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
                    power_limit_w=None if limit is None else limit / 1000,
                    temperature_c=query(
                        nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
                    ),
                    throttle=throttle_reasons(reasons),
                    energy_joules=None if energy is None else energy / 1000,
                ),
            )


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Return the names of the bits that slow a GPU down."""
    return tuple(name for bit, name in THROTTLE.items() if bits & bit)


def _amd(gpu: Gpu, root: Path) -> GpuState:
    """Return what the hwmon folder of a GPU has; only the name for a GPU without one."""
    folders = list(sysfs.entries(root / "sys/bus/pci/devices" / gpu.pci / "hwmon")) if gpu.pci else []
    if gpu.vendor != "amd" or not folders:
        return GpuState(_name(gpu))
    folder = folders[0]
    clock, memory = _scaled(folder / "freq1_input", 1e6), _scaled(folder / "freq2_input", 1e6)
    return GpuState(
        name=_name(gpu),
        clock_mhz=None if clock is None else round(clock),
        memory_clock_mhz=None if memory is None else round(memory),
        power_limit_w=_scaled(folder / "power1_cap", 1e6),
        temperature_c=_scaled(folder / "temp1_input", 1e3),
        energy_joules=_scaled(folder / "energy1_input", 1e6),
    )


def _scaled(file: Path, unit: float) -> float | None:
    number = sysfs.read_number(file)
    return None if number is None else number / unit


def _name(gpu: Gpu) -> str:
    return f"GPU {gpu.index}"
