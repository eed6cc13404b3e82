"""What changed between two sets of runs."""

from __future__ import annotations

from typing import Any

import pytest

from launch.bench.changes import Change, changes, options
from launch.bench.record import Container, GpuReading, Host, HostReading, Server
from tests.unit.launch.bench.group_data import runs, server


def of_servers(old: Server, new: Server) -> tuple[Change, ...]:
    return changes(runs("a", [1], server=old), runs("b", [1], server=new))


def of_hosts(old: Host, new: Host) -> tuple[Change, ...]:
    return changes(runs("a", [1], host=old), runs("b", [1], host=new))


def clock(mhz: int | None, idle: int = 345) -> Host:
    return Host(
        before=HostReading(gpus=(GpuReading(clock_mhz=idle),)),
        after=HostReading(gpus=(GpuReading(clock_mhz=mhz),)),
    )


def test_the_same_setup_has_no_changes() -> None:
    assert changes(runs("a", [1, 2]), runs("b", [3])) == ()


@pytest.mark.parametrize(
    ("field", "name", "old", "new"),
    [
        ({"image_digest": "sha256:bb"}, "image", "sha256:aa", "sha256:bb"),
        ({"vllm": "0.33.0"}, "vLLM", "-", "0.33.0"),
        ({"vllm_commit": "cf3eacf"}, "vLLM commit", "-", "cf3eacf"),
        ({"weights_commit": "f" * 40}, "weights commit", "-", "f" * 40),
        ({"strategy": "single_node_tp"}, "strategy", "-", "single_node_tp"),
        ({"layout": {"tp": 4}}, "layout tp", "-", "4"),
        ({"argv": ("--max-model-len", "4096")}, "option --max-model-len", "-", "4096"),
        ({"env": {"VLLM_USE_DEEP_GEMM": "0"}}, "environment VLLM_USE_DEEP_GEMM", "-", "0"),
        ({"container": Container(cpus=1.6)}, "CPUs of the container", "-", "1.6"),
        ({"container": Container(gpus=("0", "1"))}, "GPUs of the container", "-", "0 1"),
        ({"kv_cache_tokens": 497600}, "KV cache tokens", "-", "497600"),
    ],
)
def test_a_fact_of_the_server_that_differs_is_named(
    field: dict[str, Any], name: str, old: str, new: str
) -> None:
    assert of_servers(server(), server(**field)) == (Change(name, old, new),)


@pytest.mark.parametrize(
    ("field", "name", "new"),
    [
        ({"name": "there"}, "host", "there"),
        ({"hardware": "h200", "count": 8}, "hardware", "8 x h200"),
        ({"driver": "580.95.05"}, "driver", "580.95.05"),
        ({"kernel": "6.8.0"}, "kernel", "6.8.0"),
        ({"cpu": "EPYC 9654"}, "CPU", "EPYC 9654"),
    ],
)
def test_a_fact_of_the_host_that_differs_is_named(field: dict[str, Any], name: str, new: str) -> None:
    assert of_hosts(Host(), Host(**field)) == (Change(name, "-", new),)


@pytest.mark.parametrize(("mhz", "changed"), [(1980, False), (1965, False), (1410, True), (None, True)])
def test_a_clock_counts_as_changed_only_beyond_its_usual_variation(mhz: int | None, changed: bool) -> None:
    """The higher one of two readings counts, because an idle GPU lowers its clock."""
    assert bool(of_hosts(clock(1980), clock(mhz))) is changed


def test_a_power_limit_counts_in_full() -> None:
    old, new = (Host(before=HostReading(gpus=(GpuReading(power_limit_w=w),))) for w in (700, 690))
    assert of_hosts(old, new) == (Change("GPU power limit", "700 W", "690 W"),)


@pytest.mark.parametrize(
    ("used", "changed"), [([0.1, 0.3], False), ([1.0, 1.2], True), ([None, None], False)]
)
def test_other_programs_of_the_host_count_as_a_change_if_they_use_more_cpus(
    used: list[float | None], changed: bool
) -> None:
    old, new = (
        [run.model_copy(update={"host": Host(cpu_threads=2, others_cpus=one)}) for one in values
         for run in runs(str(one), [1])]
        for values in ([0.1, 0.2], used)
    )  # fmt: skip
    expected = (Change("CPUs used by other programs", "0.2", "1.1"),) if changed else ()
    assert changes(old, new) == expected


def test_throttling_during_the_run_is_named() -> None:
    new = Host(during=HostReading(gpus=(GpuReading(), GpuReading(throttle=("sw_thermal", "sw_power_cap")))))
    assert of_hosts(Host(), new) == (Change("GPU throttling", "-", "sw_power_cap sw_thermal"),)


def test_a_side_that_differs_within_itself_shows_all_its_values() -> None:
    mixed = (*runs("a", [1], server=server(vllm="0.32.0")), *runs("b", [1], server=server(vllm="0.33.0")))
    assert changes(mixed, runs("c", [1], server=server(vllm="0.33.0"))) == (
        Change("vLLM", "0.32.0, 0.33.0", "0.33.0"),
    )


def test_options_joins_values_and_reads_both_spellings() -> None:
    argv = ("vllm", "serve", "m", "--enable-expert-parallel", "--tp=4", "--cors", "a", "b")
    assert options(argv) == {
        "command": "vllm serve m", "--enable-expert-parallel": "yes", "--tp": "4", "--cors": "a b",
    }  # fmt: skip
