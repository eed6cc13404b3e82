"""Which layouts are started again, and which one is used: the winner, the default, or nothing that is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.bench.layouts.decision import MOST_FINALISTS, Result, decide, finalists
from launch.bench.layouts.trial import Goal, Start, Trial

SPEED = Goal.THROUGHPUT


def trial(layout: str, *rates: float, failed: str = "") -> Trial:
    """Return a layout with one start for each rate."""
    return Trial(
        layout, f"single_node_{layout}", 8, tuple(Start({1: 10.0, 64: rate}) for rate in rates), failed
    )


def test_a_layout_far_behind_the_fastest_is_not_started_again() -> None:
    found = finalists([trial("TP8", 1000), trial("TP8+EP", 950), trial("DP8+EP", 700)], SPEED)
    assert [one.layout for one in found] == ["TP8", "TP8+EP"]


def test_at_most_three_are_started_again() -> None:
    assert len(finalists([trial(f"TP{n}", 1000 + n) for n in range(6)], SPEED)) == MOST_FINALISTS


def test_the_fastest_of_all_wins_with_the_ratios_to_the_others() -> None:
    default, best = trial("TP8", 1000, 1003, 998), trial("TP8+EP", 1100, 1104, 1097)
    found = decide([default, best], SPEED)
    assert found is not None
    assert (found.trial, found.result) == (best, Result.WINNER)
    assert found.why == "1.10 times TP8 [1.09, 1.11]"


def test_without_a_difference_the_default_stays() -> None:
    default, other = trial("TP8", 1000, 1030, 980), trial("TP8+EP", 1010, 990, 1025)
    found = decide([default, other], SPEED)
    assert found is not None
    assert (found.trial, found.result) == (default, Result.DEFAULT)
    assert found.why == "no difference between TP8+EP and TP8 is shown"


def test_if_the_default_is_not_among_equal_ones_the_first_in_the_recipe_is_used() -> None:
    slow, first, second = trial("TP8", 500), trial("TP4", 1000, 1030, 980), trial("DP8+EP", 1010, 990, 1025)
    found = decide([slow, first, second], SPEED)
    assert found is not None
    assert (found.trial, found.result) == (first, Result.TIE)


def test_a_budget_that_ended_leaves_the_default() -> None:
    found = decide([trial("TP8", 900), trial("TP8+EP", 1000)], SPEED, unfinished="the budget ended")
    assert found is not None
    assert (found.trial.layout, found.result, found.why) == ("TP8", Result.UNCLEAR, "the budget ended")


def test_a_default_that_fails_is_replaced() -> None:
    found = decide([trial("TP8", failed="CUDA is out of memory"), trial("TP4", 800)], SPEED)
    assert found is not None
    assert (found.trial.layout, found.result) == ("TP4", Result.WINNER)
    assert found.why == "TP8 failed: CUDA is out of memory"


def test_nothing_is_decided_if_all_layouts_fail() -> None:
    assert decide([trial("TP8", failed="no"), trial("TP4", failed="no")], SPEED) is None


@pytest.mark.parametrize(
    ("goal", "best"), [(Goal.LATENCY, "TP"), (Goal.THROUGHPUT, "DP"), (Goal.BALANCE, "DP")]
)
def test_the_goal_chooses_the_numbers_of_users_that_count(goal: Goal, best: str) -> None:
    latency = Trial("TP", "tp", 8, (Start({1: 100.0, 8: 300.0, 64: 500.0}),))
    throughput = Trial("DP", "dep", 8, (Start({1: 60.0, 8: 320.0, 64: 1800.0}),))
    found = decide([latency, throughput], goal)
    assert found is not None
    assert found.trial.layout == best


RATES = st.lists(st.floats(1, 1e5), min_size=3, max_size=3)


def test_a_single_start_decides_nothing_against_several() -> None:
    # In its one start the default was behind the others, which were slower when they were repeated.
    default, first, second = trial("TP8", 1000), trial("TP4", 1300, 900, 910), trial("DP8", 1290, 700, 690)
    found = decide([default, first, second], SPEED)
    assert found is not None
    assert (found.trial, found.result) == (default, Result.UNCLEAR)
    assert found.why == "TP4 was slower in its further starts, and TP8 has one"


def test_starts_that_differ_are_compared_however_far_apart_their_means_are() -> None:
    default, other = trial("TP8", 1000, 1000, 1000), trial("DP8", 980, 1500, 1600)
    found = decide([default, other], SPEED)
    assert found is not None
    assert (found.trial, found.result) == (default, Result.DEFAULT)
    assert found.why == "no difference between DP8 and TP8 is shown"


def test_a_layout_far_ahead_is_compared_with_the_default_by_its_mean() -> None:
    far = trial("TP8", 700), trial("DP8", 1000, 1020, 1010), trial("TP4", 990, failed="the server exited")
    found = decide(far, SPEED)
    assert found is not None
    assert found.result is Result.WINNER
    assert found.why.startswith("1.44 times TP8 in 3 starts against one")


def test_a_noisy_layout_far_behind_is_not_chosen_because_it_comes_first() -> None:
    slow, noisy = trial("TP8", 500, 505, 498), trial("TP4", 400, 1300, 410)
    first, second = trial("DP8", 1000, 1030, 980), trial("DP8+EP", 1010, 990, 1025)
    found = decide([slow, noisy, first, second], SPEED)
    assert found is not None
    assert (found.trial, found.result) == (first, Result.TIE)


def test_a_default_within_reach_is_always_a_finalist() -> None:
    trials = [trial("TP8", 990), *(trial(f"L{n}", 1000 + n) for n in range(4))]
    assert [one.layout for one in finalists(trials, SPEED)] == ["L3", "L2", "TP8"]


def test_a_finalist_that_fails_later_is_named() -> None:
    default, other = trial("TP8", 1000, 1003, 998), trial("TP4", 1010, failed="the server exited")
    found = decide([default, other], SPEED)
    assert found is not None
    assert (found.result, found.why) == (Result.DEFAULT, "TP4 failed: the server exited")


@given(st.lists(RATES, min_size=1, max_size=8))
def test_what_is_used_was_measured(rates: list[list[float]]) -> None:
    trials = [trial(f"L{number}", *values) for number, values in enumerate(rates)]
    found = decide(trials, SPEED)
    assert found is not None
    assert found.trial in trials
    assert (found.result is Result.DEFAULT) == (found.trial == trials[0])
    assert found.result is not Result.UNCLEAR
