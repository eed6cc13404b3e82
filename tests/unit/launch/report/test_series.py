"""The values of the charts."""

from __future__ import annotations

from math import exp

import pytest

from launch.bench.record import Host
from launch.bench.slo import Slo
from launch.report import series
from tests.unit.launch.bench.group_data import VOID, load
from tests.unit.launch.report.page_data import example, group, on_cpu, page, served


def test_each_layout_is_a_line_from_few_users_to_many() -> None:
    lines = {line.layout: line.points for line in series.pareto(example())}
    assert [point.load for point in lines["TP4"]] == ["1", "10", "64"]
    assert [point.load for point in lines["DP4 EP"]] == ["1", "64"]
    first = lines["TP4"][0]
    assert first.per_gpu == pytest.approx(110.5 / 4, rel=1e-3)
    assert first.per_user == pytest.approx(110.5, rel=1e-3)  # 1000 / TPOT


def test_the_newest_group_of_a_load_replaces_older_ones() -> None:
    (line,) = series.pareto(page(group("a", [100]), group("b", [200], 1)))
    assert [point.per_gpu for point in line.points] == [pytest.approx(50)]


def test_a_group_with_other_lengths_is_not_on_a_line() -> None:
    other = group("a", [900], load=load(concurrency=4, input_len=5))
    (line,) = series.pareto(page(other, group("b", [200], 1)))
    assert len(line.points) == 1


def test_layouts_on_two_kinds_of_hardware_are_two_lines() -> None:
    other = group("a", [900], host=Host(name="here", hardware="h200", count=4))
    lines = series.pareto(page(other, group("b", [200], 1)))
    assert [line.layout for line in lines] == ["TP4, 4 x h200", "TP4, 4 x h20"]


def test_on_a_cpu_the_throughput_is_that_of_the_server() -> None:
    (line,) = series.pareto(page(on_cpu()))
    assert line.points[0].per_gpu == pytest.approx(40.5, rel=1e-3)


def test_points_whose_means_miss_the_slo_are_marked() -> None:
    sides = (group("fast", [400], users=1), group("slow", [100], 1, users=8))
    (line,) = series.pareto(page(*sides, slo=Slo(tpot_ms=5)))
    assert [point.kept for point in line.points] == [True, False]


def test_a_percentile_from_too_few_requests_has_no_value() -> None:
    few = group("a", [100, 101])
    runs = tuple(run.model_copy(update={"result": {**run.result, "completed": 60}}) for run in few.runs)
    (found,) = series.percentiles(page(type(few)("a", runs)), "ttft")
    assert [value is None for value in found.values] == [False, False, False, True]


def test_the_main_group_comes_before_the_one_that_it_is_compared_with() -> None:
    assert [one.label for one in series.percentiles(example(), "tpot")] == ["new", "old"]


def test_void_runs_are_in_the_history_and_marked() -> None:
    found = page(group("a", [100, 101]), group("b", [500], 1, validity=VOID), group("c", [99, 100], 2))
    assert [(run.index, run.usable) for run in series.history(found)] == [
        (0, True), (0, True), (1, False), (2, True), (2, True),
    ]  # fmt: skip


def test_the_noise_band_lies_around_the_earlier_group_and_is_at_least_the_noise_of_the_host() -> None:
    quiet = page(group("a", [100, 100]), group("b", [90, 90], 1))
    band = series.noise_band(quiet)
    assert band is not None
    assert band[0] == pytest.approx(100 * exp(-0.04))  # a floor of 2 %, twice
    assert band[1] == pytest.approx(100 * exp(0.04))
    assert series.noise_band(page(group("a", [100]))) is None


def test_starts_are_shown_once_with_their_phases() -> None:
    found = series.starts(example())
    assert [start.label for start in found] == ["TP4 11-27 10:01", "DP4 EP 11-27 10:03", "TP4 11-27 10:06"]
    assert found[0].seconds == pytest.approx(78.5)
    assert (
        series.starts(page(group("a", [100], server=served().model_copy(update={"start_seconds": {}})))) == []
    )


def test_a_rate_is_the_load_of_a_point() -> None:
    side = group("a", [100], load=load(request_rate=2.5))
    assert series.pareto(page(side))[0].points[0].load == "2.5/s"


def test_groups_of_one_day_are_labelled_with_the_hour() -> None:
    assert series.labels(example().sides)[:2] == ["10:01", "10:02"]
