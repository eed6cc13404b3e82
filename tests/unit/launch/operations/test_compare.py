"""Layouts of several machines side by side, and the smallest one that holds a number of users."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Refused
from launch.operations.compare import common_context, compare, smallest, smallest_plan
from launch.planning.capacity import users
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, TINY


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))


def test_every_strategy_of_each_machine_is_a_row() -> None:
    found = compare(PlanOptions(M2), "h200x4,h200x8,mi300x8")
    rows = [(one.machine.name, one.plan.layout.name) for one in found if one.plan]
    assert rows[:3] == [("h200x4", "TP4"), ("h200x4", "TP4+EP"), ("h200x4", "DP4+EP")]
    assert {name for name, _ in rows} == {"h200x4", "h200x8", "mi300x8"}
    assert common_context(found) == 32_768


def test_a_machine_that_is_too_small_says_why() -> None:
    (first, *_) = compare(PlanOptions(M2), "a100x1")
    assert first.plan is None
    assert "does not fit" in str(first.refused)
    assert not first.holds(1, 1)


def test_the_smallest_layout_is_the_first_with_the_fewest_gpus() -> None:
    found = compare(PlanOptions(M2), "h200x8,h200x4")
    for wanted in (1, 40, 10_000):
        holding = [one for one in found if one.holds(wanted, 32_768)]
        chosen = smallest(found, wanted, 32_768)
        assert (chosen in holding) if holding else chosen is None
        if chosen and chosen.plan:
            assert chosen.plan.layout.gpus == min(one.plan.layout.gpus for one in holding if one.plan)


@pytest.mark.parametrize("wanted", [1, 30, 60])
def test_the_plan_for_users_is_the_smallest_that_holds_them(wanted: int) -> None:
    made = smallest_plan(PlanOptions(M2, hardware="h200"), wanted, 32_768)
    assert made.fit.result == "fits"
    assert (users(made, 32_768) or 0) >= wanted
    less = made.layout.gpus - 1
    smaller = [one for n in range(1, less + 1) for one in compare(PlanOptions(M2), f"h200x{n}")]
    assert not any(one.holds(wanted, 32_768) for one in smaller)


def test_more_users_than_a_node_holds_are_refused_with_the_most() -> None:
    with pytest.raises(Refused, match="no layout of up to 8 GPUs holds 100,000 users") as refused:
        smallest_plan(PlanOptions(M2, hardware="h200"), 100_000, 32_768)
    assert "holds " in refused.value.why


def test_gpus_limits_the_search() -> None:
    with pytest.raises(Refused, match="no layout of up to 4 GPUs"):
        smallest_plan(PlanOptions(M2, hardware="h200", gpus="4"), 60, 32_768)
    with pytest.raises(Refused, match="--gpus must be a number"):
        smallest_plan(PlanOptions(M2, hardware="h200", gpus="0,1"), 1, 1024)


def test_a_wrong_option_is_refused_as_it_is_without_users() -> None:
    with pytest.raises(Refused, match="unknown variant 'x'"):
        smallest_plan(PlanOptions(M2, hardware="h200", variant="x"), 1, 1024)
    with pytest.raises(Refused, match="unknown hardware 'h2000'"):
        smallest_plan(PlanOptions(M2, hardware="h2000"), 1, 1024)


def test_a_cpu_has_one_rank_unless_the_user_says_more() -> None:
    assert smallest_plan(PlanOptions(TINY, platform="cpu"), 1, 1024).layout.gpus == 1
    (one, *_) = compare(PlanOptions(TINY), "cpu")
    assert common_context((one,)) == 4096
