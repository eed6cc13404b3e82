"""Read the state of the CPUs at one moment: load, clock, time used and lost, energy counters of the packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from launch.hardware import sysfs

_TICKS = 100  # of /proc/stat in a second: USER_HZ, the same on all architectures that vLLM runs on
# Columns of the line `cpu` in /proc/stat (man 5 proc_stat): idle and iowait, then steal.
_IDLE, _STEAL = (3, 4), 7


@dataclass(frozen=True)
class Package:
    """The energy counter of one CPU package; it starts again at 0 after `limit` joules."""

    name: str
    joules: float
    limit: float


@dataclass(frozen=True)
class CpuState:
    """All CPUs at one moment. Times are CPU seconds since the host started; None: not reported."""

    load_average: float | None = None
    mhz: float | None = None
    governor: str = ""
    busy_seconds: float | None = None
    total_seconds: float | None = None
    stolen_seconds: float | None = None
    packages: tuple[Package, ...] = ()
    energy_reason: str = ""  # why `packages` is empty


def read(root: Path = Path("/")) -> CpuState:
    """Return the state of the CPUs. Never raises: what cannot be read is None."""
    average = sysfs.read_text(root / "proc/loadavg").split()
    packages, reason = _packages(root)
    busy, total, stolen = _times(sysfs.read_text(root / "proc/stat"))
    return CpuState(
        load_average=_float(average[0]) if average else None,
        mhz=_mhz(root),
        governor=sysfs.read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        busy_seconds=busy,
        total_seconds=total,
        stolen_seconds=stolen,
        packages=packages,
        energy_reason=reason,
    )


def _times(stat: str) -> tuple[float | None, float | None, float | None]:
    """Return busy, total and stolen CPU seconds. Stolen time is not busy: no program of this host used it."""
    words = stat.splitlines()[0].split()[1:9] if stat.startswith("cpu ") else []
    ticks = [sysfs.parse_number(word) for word in words]
    numbers = [tick for tick in ticks if tick is not None]
    if len(numbers) < 8:
        return None, None, None
    total = sum(numbers)
    lost = sum(numbers[index] for index in (*_IDLE, _STEAL))
    return (total - lost) / _TICKS, total / _TICKS, numbers[_STEAL] / _TICKS


def _mhz(root: Path) -> float | None:
    """Return the mean clock of all CPUs, in MHz, as /proc/cpuinfo has it."""
    lines = sysfs.read_text(root / "proc/cpuinfo").splitlines()
    clocks = [_float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    known = [clock for clock in clocks if clock is not None]
    return round(fmean(known), 1) if known else None


def _packages(root: Path) -> tuple[tuple[Package, ...], str]:
    """Return the RAPL counters of the packages, or why there are none."""
    folders = [
        folder
        for folder in sysfs.entries(root / "sys/class/powercap")
        if folder.name.startswith("intel-rapl:") and folder.name.count(":") == 1
    ]
    if not folders:
        return (), "the kernel has no RAPL counters of this CPU (/sys/class/powercap)"
    if any(sysfs.is_denied(folder / "energy_uj") for folder in folders):
        return (), "only root may read the RAPL counters (/sys/class/powercap/*/energy_uj)"
    packages = [_package(folder) for folder in folders]
    known = tuple(package for package in packages if package)
    return known, "" if known else "the RAPL counters cannot be read"


def _package(folder: Path) -> Package | None:
    joules, limit = (sysfs.read_number(folder / name) for name in ("energy_uj", "max_energy_range_uj"))
    if joules is None:
        return None
    return Package(sysfs.read_text(folder / "name") or folder.name, joules / 1e6, (limit or 0) / 1e6)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
