"""Compare recorded runs: which count, by what, and what is told about the limits."""

from __future__ import annotations

import math
from typing import Any

import pytest

from errors import Refused
from launch.bench.compare_runs import compare_runs, measured
from launch.bench.comparison import Outcome
from launch.bench.history import Side
from launch.bench.metrics import MAIN, load_metrics, metric
from launch.bench.record import Sampling
from tests.unit.launch.bench.group_data import VOID, load, result, runs, server, side
from tests.unit.launch.bench.records_data import record

OLD = side("old", [100, 101, 99])


def test_throughput_that_rises_is_faster_and_so_are_latencies_that_fall() -> None:
    found = compare_runs(OLD, side("new", [110, 111, 109]))
    outcomes = {row.metric.key: row.comparison.outcome for row in found.rows}
    assert outcomes == dict.fromkeys(
        (MAIN, "mean_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "mean_itl_ms"), Outcome.FASTER
    )


def test_every_metric_has_a_direction_and_its_reason() -> None:
    assert all(one.why for one in load_metrics())
    assert {one.key for one in load_metrics() if one.higher_is_better} == {
        *(MAIN, "total_token_throughput", "request_throughput")
    }


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refused, match="output_throughput"):
        metric("output_troughput")


def test_a_percentile_of_too_few_requests_is_not_compared() -> None:
    few = {**result(100), "completed": 299}
    found = compare_runs(OLD, side("new", [100, 101], result=few))
    assert "p99_ttft_ms" not in {row.metric.key for row in found.rows}


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 0, 0.0, -5, None, "100", True, [1], {"a": 1}, 10**400]
)
def test_a_value_that_is_not_a_measurement_is_not_compared(value: Any) -> None:
    assert measured(record(result={**result(100), MAIN: value}), metric(MAIN)) is None
    with pytest.raises(Refused, match="no output throughput in common"):
        compare_runs(OLD, side("new", [100, 101], result={**result(100), MAIN: value}))


@pytest.mark.parametrize("duration", [0, 0.0, -1, math.nan, math.inf, None])
def test_a_result_without_a_duration_is_not_compared(duration: Any) -> None:
    assert measured(record(result={**result(100), "duration": duration}), metric(MAIN)) is None


@pytest.mark.parametrize("completed", [0, None, "100", math.nan, -1])
def test_a_result_without_completed_requests_is_not_compared(completed: Any) -> None:
    assert measured(record(result={**result(100), "completed": completed}), metric(MAIN)) is None


def test_void_interrupted_and_failed_runs_are_left_out_and_named() -> None:
    new = Side(
        "new",
        (
            *runs("good", [110, 111, 109]),
            *runs("v", [400, 410], validity=VOID),
            *runs("i", [500], status="interrupted"),
            *runs("f", [600], status="failed"),
        ),
    )
    found = compare_runs(OLD, new)
    assert found.row(MAIN).new.values == (110, 111, 109)
    assert found.left_out == (
        "4 runs of 'new' not compared: 2 void: 94 % of prompts were cached; 1 interrupted; 1 failed",
    )


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_side_without_usable_runs_is_refused_with_the_reason(which: str) -> None:
    bad = side("bad", [100], validity=VOID)
    with pytest.raises(Refused, match="no run of 'bad' can be compared") as refused:
        compare_runs(*((bad, OLD) if which == "old" else (OLD, bad)))
    assert refused.value.why == "1 void: 94 % of prompts were cached"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"server": server(model="other/model")}, "model MiniMaxAI/MiniMax-M2 and other/model"),
        ({"preset": "chat"}, "preset guide-cuda and chat"),
        ({"load": load(input_len=82)}, "input_len 41 and 82"),
        ({"load": load(concurrency=4)}, "concurrency not set and 4"),
        ({"sampling": Sampling(ignore_eos=True)}, "ignore_eos False and True"),
        ({"sampling": Sampling(temperature=0.0)}, "temperature not set and 0.0"),
    ],
)
def test_another_workload_is_refused_with_the_keys_that_differ(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match="'old' and 'new' are different workloads") as refused:
        compare_runs(OLD, side("new", [100, 101], **changes))
    assert refused.value.why == why


def test_within_one_start_the_runs_are_the_values_and_a_sentence_tells_it() -> None:
    found = compare_runs(OLD, side("new", [110, 111, 109], server=server("c2@2")))
    assert found.limits[0].startswith("one start each: ")
    assert found.row(MAIN).comparison.new_count == 3


def test_with_two_starts_of_each_side_the_means_of_the_starts_are_the_values() -> None:
    """Runs of one start agree, starts differ: six runs a side are two values."""
    old = Side(
        "old",
        (*runs("a", [100, 101, 99], server=server("1")), *runs("b", [120, 121, 119], server=server("2"))),
    )
    new = Side(
        "new",
        (*runs("c", [110, 111, 109], server=server("3")), *runs("d", [132, 133, 131], server=server("4"))),
    )
    row = compare_runs(old, new).row(MAIN)
    assert row.old.values == pytest.approx((100, 120), rel=1e-3)
    assert row.comparison.outcome is Outcome.UNCLEAR
    assert not [one for one in compare_runs(old, new).limits if "start" in one]


def test_two_starts_of_one_side_only_are_told() -> None:
    old = Side(
        "old", (*runs("a", [100, 101], server=server("1")), *runs("b", [120, 121], server=server("2")))
    )
    found = compare_runs(old, side("new", [100, 101]))
    assert found.limits[0].startswith("one start of 'new': ")
    assert found.row(MAIN).comparison.old_count == 4


def test_the_noise_of_the_host_is_the_least_spread_of_its_metric() -> None:
    found = compare_runs(OLD, side("new", [103, 104, 102]), {MAIN: 0.05})
    assert found.row(MAIN).comparison.outcome is Outcome.UNCLEAR
    assert found.row("mean_ttft_ms").floor == 0
    assert found.limits == (
        "one start each: the interval does not cover the difference between two starts of a server",
    )


def test_missing_noise_is_told_with_the_command_that_measures_it() -> None:
    assert "`invoke bench --noise`" in compare_runs(OLD, OLD).limits[-1]


def test_a_metric_that_was_not_measured_is_refused() -> None:
    with pytest.raises(Refused, match="no 'mean_e2el_ms' in common"):
        compare_runs(OLD, OLD).row("mean_e2el_ms")
