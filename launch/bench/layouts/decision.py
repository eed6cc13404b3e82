"""Decide between layouts: which are worth more starts, and which one is to be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp

from launch.bench.comparison import Comparison, Outcome, compare
from launch.bench.layouts.trial import Goal, Trial

MOST_FINALISTS = 3
# Of the logarithm, assumed for one start with one run of each point: the interval of its score is two of these.
SPREAD_OF_ONE_START = 0.05


class Result(StrEnum):
    """How a comparison of layouts ended."""

    WINNER = "winner"
    DEFAULT = "default"  # no layout is faster than it
    UNCLEAR = "cannot tell"  # the default stays


@dataclass(frozen=True)
class Decision:
    """The layout to use, and why."""

    trial: Trial
    result: Result
    why: str


def finalists(trials: Sequence[Trial], goal: Goal) -> tuple[Trial, ...]:
    """Return the layouts, at most MOST_FINALISTS and the fastest first, whose interval reaches that of the fastest."""
    usable = sorted((one for one in trials if one.usable), key=lambda one: one.mean(goal), reverse=True)
    reach = exp(-4 * SPREAD_OF_ONE_START)  # two intervals that just touch
    return tuple(one for one in usable if one.mean(goal) >= reach * usable[0].mean(goal))[:MOST_FINALISTS]


def decide(trials: Sequence[Trial], goal: Goal, unfinished: str = "") -> Decision | None:
    """Return the layout to use; None if none was measured. The first trial is the recipe's default.

    Only layouts with as many starts as any other are compared: a single start decides nothing against several.
    `unfinished` says why not all finalists have all their starts.
    """
    best, *others = finalists(_most_started(trials), goal) or (None,)
    if best is None:
        return None
    default = trials[0]
    if unfinished:
        return Decision(default if default.usable else best, Result.UNCLEAR, unfinished)
    if not others:
        return _alone(best, trials, goal)
    found = [(one, compare(one.scores(goal), best.scores(goal))) for one in others]
    equal = [one for one, comparison in found if comparison.outcome is not Outcome.FASTER]
    if not equal:
        return _winner(best, default, _faster(found))
    return _tied((best, *equal), trials)


def _most_started(trials: Sequence[Trial]) -> list[Trial]:
    most = max((len(one.starts) for one in trials if one.usable), default=0)
    return [one for one in trials if one.usable and len(one.starts) == most]


def _alone(best: Trial, trials: Sequence[Trial], goal: Goal) -> Decision:
    """Decide for the only layout that reaches the fastest."""
    default = trials[0]
    failed = [f"{one.layout} failed: {one.failed}" for one in trials if one.failed]
    others = any(one.usable for one in trials if one != best)
    why = "; ".join([*failed, *(["no other layout comes near it"] if others else [])])
    if best == default:
        return Decision(best, Result.DEFAULT, why or "it is the only layout")
    return Decision(best, Result.WINNER, why if default.failed else f"{_times(best, default, goal)}; {why}")


def _times(best: Trial, default: Trial, goal: Goal) -> str:
    first = best.starts[0].score(goal) / default.starts[0].score(goal)
    return f"{first:.2f} times {default.layout} in one start each"


def _winner(best: Trial, default: Trial, why: str) -> Decision:
    return Decision(best, Result.DEFAULT if best == default else Result.WINNER, why)


def _faster(found: Sequence[tuple[Trial, Comparison]]) -> str:
    """Return by how much the fastest layout is faster than each other finalist."""
    return "; ".join(
        f"{one.ratio:.2f} times {trial.layout} [{one.low:.2f}, {one.high:.2f}]" for trial, one in found
    )


def _tied(equal: Sequence[Trial], trials: Sequence[Trial]) -> Decision:
    """Decide between layouts of which none is shown to be faster: the default, else the first in the recipe."""
    chosen = next(one for one in trials if one in equal)
    names = " and ".join(one.layout for one in equal)
    result = Result.DEFAULT if chosen == trials[0] else Result.WINNER
    reason = (
        "" if chosen == trials[0] else f"; {chosen.layout} comes first, and the default is not among them"
    )
    return Decision(chosen, result, f"no difference between {names} is shown{reason}")
