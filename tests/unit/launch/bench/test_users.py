"""A preset that is sent by some users, and what they experience."""

from __future__ import annotations

import pytest

from launch.bench.presets import command, load_of, load_presets
from launch.bench.result import Request, UnusableResult, read_sidecar
from launch.bench.run import Workload
from launch.bench.slo import Slo
from launch.bench.users import experienced, for_users, percentile


def workload(name: str, scale: float = 1.0) -> Workload:
    preset = load_presets()[name]
    return Workload(name, preset, command(preset, "org/model", scale), scale)


def request(ttft: float, tpot: float = 0.01, error: str = "") -> Request:
    return Request(10, 11, ttft, (), ttft + 10 * tpot, 0.0, 0.0, error)


@pytest.mark.parametrize("name", sorted(load_presets()))
@pytest.mark.parametrize("users", [1, 7, 64])
def test_every_preset_can_be_sent_by_any_number_of_users(name: str, users: int) -> None:
    point = for_users(workload(name, 0.1), users)
    load, before = load_of(point.preset, point.argv), load_of(point.preset, workload(name, 0.1).argv)
    assert load.concurrency == users
    assert load.requests >= max(4 * users, 20)
    assert load.requests % (load.prefixes or 1) == 0
    assert (load.input_len, load.output_len, load.prefix_len) == (
        before.input_len,
        before.output_len,
        before.prefix_len,
    )


def test_the_share_within_the_slo_is_joint_and_counts_failed_requests() -> None:
    requests = [request(0.1), request(0.3), request(0.1, tpot=0.09), request(0.1, error="cut")]
    kept, ttft, tpot = experienced(requests, Slo(ttft_ms=200, tpot_ms=50, percent=50))
    assert kept == 0.25
    assert ttft == pytest.approx(100)
    assert tpot == pytest.approx(10)


def test_without_an_slo_every_request_is_kept() -> None:
    assert experienced([request(9.0)], None)[0] == 1.0


@pytest.mark.parametrize(("percent", "value"), [(50, 10), (95, 19), (99, 20), (100, 20)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile(range(1, 21), percent) == value


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 95) == 0


@pytest.mark.parametrize("damaged", [b"x", b"\x1f\x8b\x08"])
def test_damaged_values_of_requests_are_refused(damaged: bytes) -> None:
    with pytest.raises(UnusableResult):
        read_sidecar(damaged)


def test_an_empty_file_of_values_has_zero_requests() -> None:
    assert read_sidecar(b"") == ()
