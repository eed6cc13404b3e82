"""The order of the starts and the budget, with simulated servers and a simulated clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from random import Random

import pytest

from errors import Failed
from launch.bench.layouts.decision import Decision, Result
from launch.bench.layouts.schedule import LayoutFailed, Search
from launch.bench.layouts.trial import Goal, Start, Trial, users_of

START = 60.0  # seconds of a simulated start with one run of each point
USERS = (1, 8, 64)


@dataclass
class Host:
    """Simulated servers: the rate of each layout, or why it does not start."""

    speeds: Mapping[str, float | str]
    now: float = 0.0
    order: list[tuple[str, tuple[int, ...], int]] = field(default_factory=list)

    def measure(self, trial: Trial, users: tuple[int, ...], repeats: int) -> Start:
        self.order.append((trial.layout, users, repeats))
        self.now += START
        speed = self.speeds[trial.layout]
        if isinstance(speed, str):
            raise LayoutFailed("the server exited", why=speed)
        drift = 1 + 0.002 * (len(self.order) % 3)
        return Start({count: speed * count * drift for count in users})

    def search(self, goal: Goal = Goal.THROUGHPUT, budget: float = 7200) -> tuple[Decision | None, Search]:
        trials = [Trial(name, f"single_node_{name}", 8) for name in self.speeds]
        search = Search(trials, goal, USERS, self.measure, budget, lambda: self.now)
        return search.run(), search


def test_all_layouts_start_once_and_the_best_three_times_in_turn() -> None:
    host = Host({"TP8": 100, "TP8+EP": 108, "DP8+EP": 60})
    decision, _ = host.search()
    assert host.order == [
        ("TP8", USERS, 1), ("TP8+EP", USERS, 1), ("DP8+EP", USERS, 1),
        ("TP8+EP", (64,), 3), ("TP8", (64,), 3), ("TP8+EP", (64,), 3), ("TP8", (64,), 3),
    ]  # fmt: skip
    assert decision is not None
    assert (decision.trial.layout, decision.result) == ("TP8+EP", Result.WINNER)


def test_one_layout_far_ahead_is_not_started_again() -> None:
    host = Host({"TP8": 100, "DP8+EP": 60})
    decision, _ = host.search()
    assert len(host.order) == 2
    assert decision is not None
    assert (decision.trial.layout, decision.result) == ("TP8", Result.DEFAULT)


def test_a_layout_that_fails_is_a_row_and_the_others_are_measured() -> None:
    host = Host({"TP8": "CUDA is out of memory", "TP4": 90, "DP8+EP": 60})
    decision, search = host.search()
    assert search.trials[0].failed == "the server exited: CUDA is out of memory"
    assert decision is not None
    assert decision.trial.layout == "TP4"


def test_an_error_that_all_layouts_would_meet_ends_the_search() -> None:
    def no_weights(trial: Trial, users: tuple[int, ...], repeats: int) -> Start:
        raise Failed("the weights are not here")

    search = Search([Trial("TP8", "tp", 8)], Goal.LATENCY, USERS, no_weights, 60, lambda: 0.0)
    with pytest.raises(Failed, match="the weights are not here"):
        search.run()


@pytest.mark.parametrize(
    ("budget", "starts", "why"),
    [
        (0, 1, "the budget ended before TP8+EP, DP8+EP"),
        (2.5 * START, 2, "the budget ended before DP8+EP"),
        (3.5 * START, 3, "the budget ended before 2 more starts of TP8+EP, TP8"),
        (5.5 * START, 5, "the budget ended before 2 more starts of TP8+EP, TP8"),
    ],
)
def test_the_budget_ends_before_a_start_that_does_not_fit(budget: float, starts: int, why: str) -> None:
    host = Host({"TP8": 100, "TP8+EP": 108, "DP8+EP": 60})
    decision, _ = host.search(budget=budget)
    assert len(host.order) == starts
    assert decision is not None
    assert (decision.trial.layout, decision.result, decision.why) == ("TP8", Result.UNCLEAR, why)


def test_balance_repeats_all_numbers_of_users() -> None:
    host = Host({"TP8": 100, "TP8+EP": 101})
    host.search(Goal.BALANCE, budget=1e6)
    assert Counter(users for _, users, _ in host.order) == {USERS: 6}


@pytest.mark.parametrize(
    ("concurrency", "users"), [(0, (1, 2, 4)), (2, (1, 2, 4)), (16, (1, 4, 16)), (100, (1, 10, 100))]
)
def test_the_numbers_of_users_end_with_the_concurrency_of_the_preset(
    concurrency: int, users: tuple[int, ...]
) -> None:
    assert users_of(concurrency) == users


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("spread", [0.01, 0.05])
def test_of_equally_fast_layouts_the_default_stays(count: int, spread: float) -> None:
    random, searches = Random(20), 300

    def measure(trial: Trial, users: tuple[int, ...], repeats: int) -> Start:
        return Start({number: number * exp(random.gauss(5, spread)) for number in users})

    def replaced() -> bool:
        trials = [Trial(f"L{number}", f"single_node_{number}", 8) for number in range(count)]
        decision = Search(trials, Goal.THROUGHPUT, USERS, measure, 1e6, lambda: 0.0).run()
        return decision is None or decision.trial.layout != "L0"

    assert sum(replaced() for _ in range(searches)) / searches < 0.05
