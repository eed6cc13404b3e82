"""A gate for CI: what fails it, what it cannot tell, and what it costs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from errors import Refused
from launch.bench import against
from launch.bench.compare_runs import compare_runs
from launch.bench.comparison_options import GateOptions, percentage
from launch.bench.gate import EXTRA_REPEATS, Decision, baseline, decide, require_same_hardware
from launch.bench.history import Side
from launch.bench.metrics import MAIN
from launch.bench.record import Host, Record, json_line
from tests.unit.launch.bench.group_data import VOID, runs, side

OLD = [100, 101, 99, 100]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))


def decided(old: Sequence[float], new: Sequence[float], limit: float = 0.05, metric: str = MAIN) -> Decision:
    return decide(compare_runs(side("old", old), side("new", new)), (metric,), limit)


@pytest.mark.parametrize(
    ("new", "limit", "decision"),
    [
        ([80, 81, 79, 80], 0.05, Decision.REGRESSION),
        ([100, 101, 99, 100], 0.05, Decision.PASSED),
        ([120, 121, 119, 120], 0.05, Decision.PASSED),
        ([97, 97.5, 96.5, 97], 0.05, Decision.PASSED),  # slower for certain, and within the limit
        ([97, 97.5, 96.5, 97], 0.0, Decision.REGRESSION),
        ([97, 97.5, 96.5, 97], 0.01, Decision.REGRESSION),
        ([80, 81, 79, 80], 0.25, Decision.PASSED),
        ([80, 120, 70, 110], 0.05, Decision.UNCLEAR),
        ([80, 120, 90, 130], 0.5, Decision.PASSED),  # the interval excludes a loss of half
        ([60], 0.05, Decision.UNCLEAR),
    ],
)
@pytest.mark.parametrize("metric", [MAIN, "mean_ttft_ms"])
def test_decide(new: list[float], limit: float, decision: Decision, metric: str) -> None:
    limit = (
        limit if metric == MAIN else 1 / (1 - limit) - 1
    )  # a latency that rises as much as the throughput falls
    assert decided(OLD, new, limit, metric) is decision


def test_one_metric_with_a_regression_is_enough() -> None:
    slow_start = [run.model_copy(update={"result": {**run.result, "mean_ttft_ms": 20 + i / 10}})
                  for i, run in enumerate(runs("new", OLD))]  # fmt: skip
    found = compare_runs(side("old", OLD), Side("new", tuple(slow_start)))
    assert decide(found, (MAIN,), 0.05) is Decision.PASSED
    assert decide(found, (MAIN, "mean_ttft_ms"), 0.05) is Decision.REGRESSION


def measuring(values: Sequence[float]) -> Callable[[], Record]:
    made = iter(runs("extra", values))
    return lambda: next(made)


def test_a_gate_that_cannot_tell_measures_again_until_it_can() -> None:
    found, decision = against.gate(
        side("old", OLD), side("new", [80, 95]), GateOptions(), measuring([80, 80, 81, 80, 80])
    )
    assert decision is Decision.REGRESSION
    assert 2 < len(found.new.runs) < 2 + EXTRA_REPEATS


def test_a_gate_measures_again_five_times_at_most() -> None:
    wild = [60, 140, 70, 130, 80, 120]
    found, decision = against.gate(side("old", OLD), side("new", [70, 130]), GateOptions(), measuring(wild))
    assert decision is Decision.UNCLEAR
    assert len(found.new.runs) == 2 + EXTRA_REPEATS


def test_a_gate_cannot_tell_if_the_host_became_slower_meanwhile() -> None:
    """Measured with vLLM on a virtual machine: from the sixth run on, everything took 17 % longer."""
    old, new = side("old", [2122, 2269, 2364, 2297, 2109]), side("new", [2219, 2140, 2127, 2261, 2306])
    slower = measuring([2151, 1835, 1872, 1889, 1809])
    found, decision = against.gate(old, new, GateOptions(), slower)
    assert decision is Decision.UNCLEAR
    assert found.limits[-1] == against.DRIFTED


def test_more_repeats_are_not_measured_against_a_baseline_of_one_run() -> None:
    found, decision = against.gate(side("old", [100]), side("new", [50]), GateOptions(), measuring([]))
    assert decision is Decision.UNCLEAR
    assert len(found.new.runs) == 1


def test_a_void_repeat_counts_as_one_of_the_five_and_is_not_compared() -> None:
    again = iter(runs("v", [500] * EXTRA_REPEATS, validity=VOID))
    found, decision = against.gate(side("old", OLD), side("new", [100]), GateOptions(), lambda: next(again))
    assert decision is Decision.UNCLEAR
    assert found.row(MAIN).new.values == (100,)


@pytest.mark.parametrize("host", [Host(hardware="h200", count=4), Host(hardware="h20", count=8), Host()])
def test_a_baseline_of_other_hardware_is_refused(host: Host) -> None:
    with pytest.raises(Refused, match="other hardware") as refused:
        require_same_hardware(side("old", OLD, host=host), side("new", OLD))
    assert "4 x h20" in refused.value.why


def test_a_baseline_of_another_host_with_the_same_hardware_is_accepted() -> None:
    require_same_hardware(
        side("old", OLD, host=Host(name="there", hardware="h20", count=4)), side("new", OLD)
    )


def test_a_baseline_without_usable_runs_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text("\n".join(map(json_line, runs("v", [400], validity=VOID))))
    with pytest.raises(Refused, match="can be compared"):
        baseline(GateOptions(gate=str(path)))


def test_an_unknown_metric_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(Refused, match="unknown metric 'ttft'"):
        baseline(GateOptions(gate="b.jsonl", metric=("ttft",)))


@pytest.mark.parametrize(("given", "limit"), [("5%", 0.05), ("0%", 0), ("2.5%", 0.025), (" 99% ", 0.99)])
def test_percentage_is_a_share(given: str, limit: float) -> None:
    assert GateOptions(max_regression=percentage("--max-regression", given)).limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "given", ["5", "0.05", "-5%", "100%", "nan%", "inf%", "%", "", "5 %%", "1e1%", "٥%", None]
)
def test_percentage_refuses_anything_else(given: Any) -> None:
    with pytest.raises(Refused, match="--max-regression must be a percentage"):
        percentage("--max-regression", given)


def test_without_a_change_a_gate_fails_rarely_although_it_may_measure_again() -> None:
    """Spread 15 %, three runs a side, limit 5 %, up to five more repeats: 300 gates of one true throughput."""
    chance = random.Random(15)
    failed = 0
    for _ in range(300):
        old, new = (side(name, _draw(3, chance)) for name in ("old", "new"))
        again = measuring(_draw(EXTRA_REPEATS, chance))
        failed += against.gate(old, new, GateOptions(), again)[1] is Decision.REGRESSION
    assert failed / 300 < 0.06


def _draw(count: int, chance: random.Random) -> list[float]:
    return [100 * math.exp(chance.gauss(0, 0.15)) for _ in range(count)]
