"""Read what GPUs do at this moment: use, power and memory.

NVIDIA: NVML. AMD: gpu_busy_percent, mem_info_vram_* and hwmon of amdgpu (docs.kernel.org/gpu/amdgpu).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.hardware import sysfs
from launch.hardware.nvidia import nvml_session, query
from launch.hardware.types import Gpu


@dataclass(frozen=True)
class GpuLoad:
    """One GPU. `busy` is a share from 0 to 1, memory is in bytes. None: its driver does not report the value."""

    index: int
    busy: float | None = None
    power_w: float | None = None
    memory_used: int | None = None
    memory: int | None = None


def read(gpus: Sequence[Gpu], root: Path = Path("/")) -> tuple[GpuLoad, ...]:
    """Return the load of these GPUs. Never raises: what cannot be read is None."""
    nvidia = _nvidia(gpus) if any(gpu.vendor == "nvidia" for gpu in gpus) else {}
    return tuple(nvidia.get(gpu.index) or _amd(gpu, root) for gpu in gpus)


def _nvidia(gpus: Sequence[Gpu]) -> dict[int, GpuLoad]:
    import pynvml  # type: ignore[import-untyped]

    found: dict[int, GpuLoad] = {}
    try:
        with nvml_session(pynvml):
            for gpu in gpus:
                if handle := query(pynvml, pynvml.nvmlDeviceGetHandleByIndex, gpu.index):
                    rates = query(pynvml, pynvml.nvmlDeviceGetUtilizationRates, handle)
                    power = query(pynvml, pynvml.nvmlDeviceGetPowerUsage, handle)
                    memory = query(pynvml, pynvml.nvmlDeviceGetMemoryInfo, handle)
                    found[gpu.index] = GpuLoad(
                        gpu.index,
                        None if rates is None else rates.gpu / 100,
                        None if power is None else power / 1000,
                        None if memory is None else memory.used,
                        None if memory is None else memory.total,
                    )
    except pynvml.NVMLError:
        return found
    return found


def _amd(gpu: Gpu, root: Path) -> GpuLoad:
    """Return what the PCI folder of a GPU has; nothing for a GPU without one."""
    if gpu.vendor != "amd" or not gpu.pci:
        return GpuLoad(gpu.index)
    folder = root / "sys/bus/pci/devices" / gpu.pci
    busy = sysfs.read_number(folder / "gpu_busy_percent")
    power = next((_power(sensor) for sensor in sysfs.entries(folder / "hwmon")), None)
    used, memory = (sysfs.read_number(folder / f"mem_info_vram_{name}") for name in ("used", "total"))
    return GpuLoad(gpu.index, None if busy is None else busy / 100, power, used, memory)


def _power(sensor: Path) -> float | None:
    """Return watts: newer cards have the average, others the momentary value."""
    readings = (sysfs.read_number(sensor / name) for name in ("power1_average", "power1_input"))
    return next((number / 1e6 for number in readings if number is not None), None)
