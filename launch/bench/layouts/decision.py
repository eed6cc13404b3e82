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
    TIE = "tie"  # faster than the default, but not shown to be faster than another one
    DEFAULT = "default"  # no layout is shown to be faster than it
    UNCLEAR = "cannot tell"  # the default stays


@dataclass(frozen=True)
class Decision:
    """The layout to use, and why."""

    trial: Trial
    result: Result
    why: str


def finalists(trials: Sequence[Trial], goal: Goal) -> tuple[Trial, ...]:
    """Return the layouts, at most MOST_FINALISTS and the fastest first, whose interval reaches that of the fastest.

    The first trial is the recipe's default. If it is one of these layouts, it is always a finalist: of many equally
    fast layouts, others are ahead of it by chance.
    """
    usable = sorted((one for one in trials if one.usable), key=lambda one: one.mean(goal), reverse=True)
    near = [one for one in usable if _near(one, usable[0], goal)]
    kept = near[:MOST_FINALISTS]
    return (*kept[:-1], trials[0]) if trials[0] in near and trials[0] not in kept else tuple(kept)


def decide(trials: Sequence[Trial], goal: Goal, unfinished: str = "") -> Decision | None:
    """Return the layout to use; None if none was measured. The first trial is the recipe's default.

    Only layouts with as many starts as any other are compared: a single start decides nothing against several.
    `unfinished` says why not all finalists have all their starts.
    """
    started = _most_started(trials)
    if not started:
        return None
    best, default = max(started, key=lambda one: one.mean(goal)), trials[0]
    if unfinished or (unfinished := _undecided(best, default, goal)):
        return Decision(default if default.usable else best, Result.UNCLEAR, unfinished)
    single = len(best.starts) == 1  # then only a large distance decides
    others = [one for one in started if one != best and (not single or _near(one, best, goal))]
    if not others:
        return _alone(best, trials, goal)
    found = [(one, compare(one.scores(goal), best.scores(goal))) for one in others]
    equal = [one for one, comparison in found if comparison.outcome is not Outcome.FASTER]
    if not equal:
        return _winner(best, default, _faster(found))
    return _tied(best, equal, trials, goal)


def _near(one: Trial, best: Trial, goal: Goal) -> bool:
    """Return whether the interval of a single start reaches that of the fastest: two intervals that just touch."""
    return one.mean(goal) >= exp(-4 * SPREAD_OF_ONE_START) * best.mean(goal)


def _undecided(best: Trial, default: Trial, goal: Goal) -> str:
    """Return why the single start of the default tells nothing against more starts of the best; "" if it does."""
    if default.usable and len(default.starts) < len(best.starts) and _near(default, best, goal):
        return f"{best.layout} was slower in its further starts, and {default.layout} has one"
    return ""


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
    ratio = best.mean(goal) / default.mean(goal)
    starts = "in one start each" if len(best.starts) == 1 else f"in {len(best.starts)} starts against one"
    return f"{ratio:.2f} times {default.layout} {starts}"


def _winner(best: Trial, default: Trial, why: str) -> Decision:
    return Decision(best, Result.DEFAULT if best == default else Result.WINNER, why)


def _faster(found: Sequence[tuple[Trial, Comparison]]) -> str:
    """Return by how much the fastest layout is faster than each other finalist."""
    return "; ".join(
        f"{one.ratio:.2f} times {trial.layout} [{one.low:.2f}, {one.high:.2f}]" for trial, one in found
    )


def _tied(best: Trial, equal: Sequence[Trial], trials: Sequence[Trial], goal: Goal) -> Decision:
    """Decide between layouts of which none is shown to be faster: the default, else the first one in the recipe."""
    default, names = trials[0], " and ".join(one.layout for one in (best, *equal))
    why = f"no difference between {names} is shown"
    if default in (best, *equal):
        return Decision(default, Result.DEFAULT, why)
    near = [one for one in equal if _near(one, best, goal)]
    chosen = next(one for one in trials if one == best or one in near)
    return Decision(
        chosen, Result.TIE, f"{why}; {chosen.layout} comes first, and the default is not among them"
    )
