"""What the readings of a host during a run show."""

from __future__ import annotations

import pytest

from launch.bench.host import HostWatch, Moment, energy_between
from launch.hardware.cpu_state import CpuState, Package
from launch.hardware.gpu_state import GpuState
from launch.hardware.types import Cpu, Gpu, Hardware, VendorReport


def moment(
    at: float = 0, server: float | None = None, gpus: tuple[GpuState, ...] = (), **cpu: object
) -> Moment:
    return Moment(at, CpuState(**cpu), gpus, server)  # type: ignore[arg-type]


def watch(*moments: Moment, gpus: tuple[Gpu, ...] = ()) -> HostWatch:
    return HostWatch(gpus, lambda: None, tuple, _moments=list(moments))


HARDWARE = Hardware(
    Cpu(model="EPYC", threads=8, memory=64 << 30), nvidia=VendorReport("nvidia", driver="580.65")
)


def test_host_of_a_run_on_gpus_names_them_their_number_and_their_driver() -> None:
    gpus = tuple(Gpu(index, "nvidia", hardware="h100") for index in range(4))
    states = tuple(GpuState(f"GPU {index}") for index in range(4))
    host = watch(moment(0, gpus=states), moment(1, gpus=states), gpus=gpus).host(HARDWARE)
    assert (host.hardware, host.count, host.driver) == ("h100", 4, "580.65")


@pytest.mark.parametrize(("limit", "count"), [(0, 8), (2, 2)])
def test_host_of_a_run_on_cpus_counts_those_that_the_container_may_use(limit: float, count: int) -> None:
    host = watch(moment(0), moment(1)).host(HARDWARE, limit)
    assert (host.hardware, host.count, host.driver) == ("EPYC", count, "")


def test_others_are_the_cpus_that_neither_server_nor_client_used() -> None:
    first = moment(0, 100.0, busy_seconds=500.0, total_seconds=1000.0, stolen_seconds=10.0)
    last = moment(10, 110.0, busy_seconds=515.0, total_seconds=1080.0, stolen_seconds=18.0)
    host = watch(first, last).host(HARDWARE)
    assert (host.others_cpus, host.steal) == (0.5, 0.1)


def test_others_are_unknown_if_the_engine_does_not_tell_what_the_server_used() -> None:
    host = watch(moment(0, None, busy_seconds=1.0), moment(10, 110.0, busy_seconds=2.0)).host(HARDWARE)
    assert host.others_cpus is None


def test_during_has_the_worst_of_all_readings() -> None:
    before, after = (moment(at, gpus=(GpuState("GPU 0"),)) for at in (0, 9))
    readings = [
        moment(3, gpus=(GpuState("GPU 0", clock_mhz=1980, temperature_c=70, throttle=("power limit",)),)),
        moment(6, gpus=(GpuState("GPU 0", clock_mhz=1500, temperature_c=60, throttle=("power brake",)),)),
    ]
    (worst,) = watch(before, *readings, after).host(HARDWARE).during.gpus
    assert (worst.clock_mhz, worst.temperature_c) == (1500, 70)
    assert worst.throttle == ("power brake", "power limit")


def test_energy_is_that_of_gpus_and_packages() -> None:
    first = moment(0, gpus=(GpuState("GPU 0", energy_joules=100),), packages=(Package("package-0", 50, 60),))
    last = moment(1, gpus=(GpuState("GPU 0", energy_joules=850.5),), packages=(Package("package-0", 10, 60),))
    assert energy_between(first, last) == ({"GPU 0": 750.5, "package-0": 20}, "")


def test_energy_without_counters_is_null_with_the_reason() -> None:
    reading = moment(0, gpus=(GpuState("GPU 0"),), energy_reason="only root may read the RAPL counters")
    joules, reason = energy_between(reading, reading)
    assert joules is None
    assert reason == "the driver reports no energy counter of its GPUs; only root may read the RAPL counters"
