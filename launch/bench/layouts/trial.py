"""What was measured of one layout: its starts, each with its rates for some numbers of users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, isqrt, log
from statistics import fmean

POINTS = 3  # numbers of users that are measured in the first start of a layout


class Goal(StrEnum):
    """What a layout is chosen for."""

    LATENCY = "latency"  # output tokens a second with the fewest users
    THROUGHPUT = "throughput"  # with the most users
    BALANCE = "balance"  # the geometric mean over all numbers of users

    def points(self, users: tuple[int, ...]) -> tuple[int, ...]:
        """Return the numbers of users that decide."""
        return {"latency": users[:1], "throughput": users[-1:], "balance": users}[self]


def users_of(concurrency: int) -> tuple[int, ...]:
    """Return the numbers of users to measure: one, the concurrency of the preset (at least 4), and one between."""
    most = max(concurrency, 4)
    return (1, max(2, isqrt(most)), most)


@dataclass(frozen=True)
class Start:
    """One start of a server: output tokens a second by number of users, with the ids of its runs."""

    rates: Mapping[int, float]
    runs: tuple[str, ...] = ()

    def score(self, goal: Goal) -> float:
        """Return what is compared, in tokens a second."""
        return _mean(self.rates[users] for users in goal.points(tuple(sorted(self.rates))))


@dataclass(frozen=True)
class Trial:
    """A layout, its starts so far, and why it failed ("" if it did not)."""

    layout: str  # TP4, DP8+EP
    strategy: str
    gpus: int  # for --gpus; of a divided AMD card, each part is a rank
    starts: tuple[Start, ...] = ()
    failed: str = ""

    @property
    def usable(self) -> bool:
        """Whether it was measured and did not fail."""
        return bool(self.starts) and not self.failed

    def scores(self, goal: Goal) -> tuple[float, ...]:
        """Return one score for each start."""
        return tuple(start.score(goal) for start in self.starts)

    def mean(self, goal: Goal) -> float:
        """Return the geometric mean of its starts."""
        return _mean(self.scores(goal))

    def rate(self, users: int) -> float | None:
        """Return the geometric mean of the tokens a second with so many users; None if it was not measured."""
        rates = [start.rates[users] for start in self.starts if users in start.rates]
        return _mean(rates) if rates else None

    def started(self, start: Start) -> Trial:
        """Return the trial with one more start."""
        return replace(self, starts=(*self.starts, start))


def _mean(values: Iterable[float]) -> float:
    return exp(fmean(log(value) for value in values))
