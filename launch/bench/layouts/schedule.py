"""The order of the starts: one of every layout, then two more of the finalists in turn, within a budget.

Pure: `measure` starts a server and measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from errors import Failed
from launch.bench.layouts.decision import Decision, decide, finalists
from launch.bench.layouts.trial import Goal, Start, Trial

MOST_LAYOUTS = 8
MORE_STARTS = 2  # of each finalist
REPEATS = 3  # runs of each point in these starts

Measure = Callable[[Trial, tuple[int, ...], int], Start]  # layout, numbers of users, repeats
Clock = Callable[[], float]


class LayoutFailed(Failed):
    """A layout whose server did not start, or whose runs cannot be used. The others are measured."""


@dataclass
class Search:
    """A search for the fastest layout. `trials` holds what was measured, the recipe's default first."""

    trials: list[Trial]
    goal: Goal
    users: tuple[int, ...]
    measure: Measure
    budget: float  # seconds
    clock: Clock
    unfinished: str = ""
    _begun: float = field(default=0.0, init=False)
    _longest: float = field(default=0.0, init=False)  # seconds of a start with one run of each point

    def run(self) -> Decision | None:
        """Measure until the layout is known or the budget is used up; None if no layout could be measured."""
        self._begun = self.clock()
        for number in range(len(self.trials)):
            if number and not self._in_budget(1):
                self.unfinished = f"the budget ended before {_names(self.trials[number:])}"
                break
            self._start(number, self.users, 1)
        self._repeat()
        return decide(self.trials, self.goal, self.unfinished)

    def _repeat(self) -> None:
        """Start the finalists again, in turn, so that a change of the host over time meets all of them."""
        found = finalists(self.trials, self.goal)
        if len(found) < 2 or self.unfinished:
            return
        numbers = [self.trials.index(one) for one in found]
        for number in numbers * MORE_STARTS:
            if self.trials[number].failed:
                continue
            if not self._in_budget(REPEATS):
                self.unfinished = f"the budget ended before {MORE_STARTS} more starts of {_names(found)}"
                return
            self._start(number, self.goal.points(self.users), REPEATS)

    def _start(self, number: int, users: tuple[int, ...], repeats: int) -> None:
        trial, begun = self.trials[number], self.clock()
        try:
            self.trials[number] = trial.started(self.measure(trial, users, repeats))
        except LayoutFailed as error:
            self.trials[number] = replace(trial, failed=_failure(error))
        if repeats == 1:
            self._longest = max(self._longest, self.clock() - begun)

    def _in_budget(self, repeats: int) -> bool:
        """Whether another start probably ends in time: it takes as long as the longest, with more runs longer."""
        points = len(self.goal.points(self.users)) * repeats / len(self.users)
        expected = self._longest * max(1.0, points)
        return self.clock() - self._begun + expected <= self.budget


def _names(trials: Sequence[Trial]) -> str:
    return ", ".join(trial.layout for trial in trials)


def _failure(error: LayoutFailed) -> str:
    """Return why a layout failed, on one line."""
    return " ".join(f"{error.what}: {error.why}".removesuffix(": ").split())
