"""Decide whether new measurements are a regression that a CI job must not accept."""

from __future__ import annotations

from enum import StrEnum

from errors import Refused
from launch.bench.changes import hardware
from launch.bench.compare_runs import Row, RunComparison, require_usable
from launch.bench.comparison import Outcome
from launch.bench.comparison_options import GateOptions
from launch.bench.history import Side, side_of_file
from launch.bench.metrics import metric
from launch.spec.control_characters import one_line

EXTRA_REPEATS = 5  # that a gate may add while it cannot tell


class Decision(StrEnum):
    """What a gate decides."""

    PASSED = "passed"
    REGRESSION = "regression"
    UNCLEAR = "cannot tell"


def baseline(options: GateOptions) -> Side:
    """Return the runs of the file of a gate. Raises Refused if they cannot be compared."""
    for key in options.metrics:
        metric(key)
    side = side_of_file(options.gate)
    require_usable(side)
    return side


def require_same_hardware(old: Side, new: Side) -> None:
    """Raise Refused if a baseline was measured on other hardware than new runs."""
    require_hardware(old, {hardware(run) for run in new.runs})


def require_hardware(old: Side, own: set[str]) -> None:
    """Raise Refused if a baseline was measured on other hardware than this, for example `4 x h20`."""
    theirs = {hardware(run) for run in old.runs}
    if theirs != own:
        raise Refused(
            f"the baseline '{old.name}' was measured on other hardware",
            why=one_line(f"{', '.join(sorted(theirs))}, and now {', '.join(sorted(own))}"),
            fix="record a baseline on this hardware: invoke bench --repeat 5",
        )


def decide(comparison: RunComparison, metrics: tuple[str, ...], max_regression: float) -> Decision:
    """Return the decision for several metrics: a regression of one is enough."""
    decisions = {decide_row(comparison.row(key), max_regression) for key in metrics}
    for one in (Decision.REGRESSION, Decision.UNCLEAR):
        if one in decisions:
            return one
    return Decision.PASSED


def decide_row(row: Row, max_regression: float) -> Decision:
    """Return the decision for one metric.

    It is a regression only if the complete interval is on the slow side and the ratio is worse than the limit.
    """
    found = row.comparison
    if found.low is None or found.high is None:
        return Decision.UNCLEAR
    higher = row.metric.higher_is_better
    limit = 1 - max_regression if higher else 1 + max_regression
    slow, worse, excluded = (
        (found.high < 1, found.ratio < limit, found.low >= limit)
        if higher
        else (found.low > 1, found.ratio > limit, found.high <= limit)
    )
    if slow and worse:
        return Decision.REGRESSION
    # An interval that ends before the limit excludes such a regression, also if it contains 1.
    return Decision.UNCLEAR if found.outcome is Outcome.UNCLEAR and not excluded else Decision.PASSED
