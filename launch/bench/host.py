"""Watch the host during a run: what its CPUs and GPUs were, and what they did next to the server."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from launch.bench.record import GpuReading, Host, HostReading
from launch.hardware import cpu_state, gpu_state, process
from launch.hardware.cpu_state import CpuState
from launch.hardware.gpu_state import GpuState
from launch.hardware.types import Gpu, Hardware

EVERY = 2.0  # seconds between two readings during a run


@dataclass(frozen=True)
class Moment:
    """Everything that is read at once. `server_seconds` is the CPU time of the server's container."""

    at: float  # time.monotonic
    cpu: CpuState
    gpus: tuple[GpuState, ...]
    server_seconds: float | None = None


class Watch(Protocol):
    """Readings before, during and after one run. `client_pid` is the client's process on this host, 0 if none."""

    client_pid: int

    def read(self) -> None:
        """Take a complete reading."""

    def restart(self) -> None:
        """Take the first reading again."""

    def tick(self) -> None:
        """Take a reading if the last one is old."""

    def host(self, hardware: Hardware, on_cpus: float = 0) -> Host:
        """Return what the readings show."""


@dataclass
class HostWatch:
    """Readings before, during and after one run."""

    gpus: Sequence[Gpu]
    server_seconds: Callable[[], float | None]
    neighbours: Callable[[], Sequence[str]]
    root: Path = Path("/")
    client_pid: int = 0
    _moments: list[Moment] = field(default_factory=list)
    _client: list[tuple[float, float]] = field(default_factory=list)  # time, CPU seconds of the client
    _neighbours: set[str] = field(default_factory=set)

    def read(self) -> None:
        """Take a complete reading: the first one is that before the run, the last one that after it."""
        self._moments.append(self._moment(self.server_seconds()))
        self._neighbours.update(self.neighbours())

    def restart(self) -> None:
        """Take the first reading again, now that the client sends its first request."""
        self._moments.clear()
        self.read()

    def tick(self) -> None:
        """Take a reading if the last one is old."""
        if time.monotonic() - self._moments[-1].at < EVERY:
            return
        self._moments.append(self._moment())
        self._neighbours.update(self.neighbours())
        if self.client_pid and (used := process.cpu_seconds(self.client_pid, self.root)) is not None:
            self._client.append((time.monotonic(), used))

    def _moment(self, server_seconds: float | None = None) -> Moment:
        cpu, gpus = cpu_state.read(self.root), gpu_state.read(self.gpus, self.root)
        return Moment(time.monotonic(), cpu, gpus, server_seconds)

    def host(self, hardware: Hardware, on_cpus: float = 0) -> Host:
        """Return what the readings show. `on_cpus` is the CPU limit of a container without GPUs, 0 for no limit."""
        if not self._moments:
            self.read()
        first, last = self._moments[0], self._moments[-1]
        energy, reason = energy_between(first, last)
        cpu = hardware.cpu
        threads = cpu.threads or os.cpu_count() or 1
        vendor = self.gpus[0].vendor if self.gpus else ""
        name, count = kind_and_count(self.gpus, hardware, on_cpus)
        return Host(
            name=platform.node(),
            hardware=name,
            count=count,
            driver={"nvidia": hardware.nvidia.driver, "amd": hardware.amd.driver}.get(vendor, ""),
            kernel=platform.release(),
            cpu=cpu.model,
            cpu_threads=threads,
            memory_bytes=cpu.memory,
            before=_reading(first),
            during=_worst(self._moments[1:-1]),
            after=_reading(last),
            others_cpus=_others(first, last),
            steal=_steal(first, last),
            neighbours=tuple(sorted(self._neighbours)),
            client_cpus=_rate(self._client),
            energy_joules=energy,
            energy_reason=reason,
        )


def kind_and_count(gpus: Sequence[Gpu], hardware: Hardware, on_cpus: float) -> tuple[str, int]:
    """Return what a server runs on, and how many of it: its GPUs, or CPUs as in `Watch.host`."""
    if gpus:
        return gpus[0].hardware or gpus[0].name, len(gpus)
    cpu = hardware.cpu
    return cpu.model or platform.machine(), round(on_cpus) or cpu.threads or os.cpu_count() or 1


def energy_between(first: Moment, last: Moment) -> tuple[dict[str, float] | None, str]:
    """Return the joules of each source between two moments, or None and the reason."""
    joules = {
        after.name: round(after.energy_joules - before.energy_joules, 3)
        for before, after in zip(first.gpus, last.gpus, strict=True)
        if before.energy_joules is not None and after.energy_joules is not None
    }
    for start, end in zip(first.cpu.packages, last.cpu.packages, strict=False):
        change = end.joules - start.joules
        joules[start.name] = round(change if change >= 0 else change + end.limit, 3)
    if joules:
        return joules, ""
    gpus = "the driver reports no energy counter of its GPUs; " if first.gpus else ""
    return None, gpus + (first.cpu.energy_reason or "the energy counters could not be read")


def _reading(moment: Moment) -> HostReading:
    return HostReading(
        load_average=moment.cpu.load_average,
        cpu_mhz=moment.cpu.mhz,
        cpu_governor=moment.cpu.governor,
        gpus=tuple(_gpu_reading(state) for state in moment.gpus),
    )


def _gpu_reading(state: GpuState) -> GpuReading:
    return GpuReading(
        name=state.name,
        clock_mhz=state.clock_mhz,
        memory_clock_mhz=state.memory_clock_mhz,
        power_limit_w=state.power_limit_w,
        temperature_c=state.temperature_c,
        throttle=state.throttle,
    )


def _worst(moments: Sequence[Moment]) -> HostReading:
    """Return the lowest clocks, the highest load and temperature, and all throttle reasons."""
    columns = list(zip(*(moment.gpus for moment in moments), strict=True))
    return HostReading(
        load_average=_extreme(max, [moment.cpu.load_average for moment in moments]),
        cpu_mhz=_extreme(min, [moment.cpu.mhz for moment in moments]),
        gpus=tuple(_worst_of(states) for states in columns),
    )


def _worst_of(states: Sequence[GpuState]) -> GpuReading:
    clock = _extreme(min, [state.clock_mhz for state in states])
    memory_clock = _extreme(min, [state.memory_clock_mhz for state in states])
    return GpuReading(
        name=states[0].name,
        clock_mhz=None if clock is None else round(clock),
        memory_clock_mhz=None if memory_clock is None else round(memory_clock),
        power_limit_w=_extreme(min, [state.power_limit_w for state in states]),
        temperature_c=_extreme(max, [state.temperature_c for state in states]),
        throttle=tuple(sorted({reason for state in states for reason in state.throttle})),
    )


def _extreme(choose: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _others(first: Moment, last: Moment) -> float | None:
    """Return the CPUs that all programs outside the server's container used, on average; the client is inside."""
    busy = _change(first.cpu.busy_seconds, last.cpu.busy_seconds)
    own = _change(first.server_seconds, last.server_seconds)
    seconds = last.at - first.at
    if busy is None or own is None or seconds <= 0:
        return None
    return round(max(0.0, busy - own) / seconds, 3)


def _steal(first: Moment, last: Moment) -> float | None:
    stolen = _change(first.cpu.stolen_seconds, last.cpu.stolen_seconds)
    total = _change(first.cpu.total_seconds, last.cpu.total_seconds)
    return round(stolen / total, 4) if stolen is not None and total else None


def _change(before: float | None, after: float | None) -> float | None:
    return after - before if before is not None and after is not None else None


def _rate(samples: Sequence[tuple[float, float]]) -> float | None:
    """Return the CPUs that the client used between the first and the last sample."""
    if len(samples) < 2 or samples[-1][0] - samples[0][0] < 1:
        return None
    (start, used), (end, total) = samples[0], samples[-1]
    return round((total - used) / (end - start), 3)
