"""Word recorded runs and comparisons for people: the same words in a table, in a comment and on a page."""

from __future__ import annotations

from collections import Counter

from launch.bench.changes import Change
from launch.bench.compare_runs import Summary
from launch.bench.comparison import Comparison
from launch.bench.history import Side
from launch.spec.control_characters import one_line

LONGEST = 60  # characters of a value that changed
EXTREME = 1000  # a ratio above it, or below its inverse, is not printed as a number


def minute(side: Side) -> str:
    """Return when the first run of a side began, to the minute."""
    return side.runs[0].time[:16].replace("T", " ")


def interval(found: Comparison) -> str:
    """Format the interval of a ratio, for example `0.80 to 0.86`."""
    if found.low is None or found.high is None:
        return "-"
    return f"{ratio(found.low)} to {ratio(found.high)}"


def outcome(found: Comparison) -> str:
    """Format a conclusion; if it is unclear, with the number of repeats that would probably tell."""
    if found.outcome != "cannot tell":
        return str(found.outcome)
    if found.repeats:
        return f"{found.outcome} (about {found.repeats} of each are needed)"
    if min(found.old_count, found.new_count) < 2:
        return f"{found.outcome} (one value)"
    return f"{found.outcome} (more than 100 of each are needed)"


def ratio(value: float) -> str:
    """Format a ratio with three digits."""
    if value > EXTREME:
        return f">{EXTREME}"
    return f"<{1 / EXTREME:g}" if value < 1 / EXTREME else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def number(value: float) -> str:
    """Format a measured value with four digits."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def spread(found: Summary) -> str:
    """Format the spread of the values of one side, for example `±3.1%`; empty for one value."""
    return "" if found.spread is None else f"±{100 * found.spread:.1f}%"


def change(found: Change) -> str:
    """Format what changed, for example `driver: 580.95 -> 580.105`; long values are cut."""
    old, new = _short(found.old), _short(found.new)
    if old == new:
        old, new = found.old, found.new
    return one_line(f"{found.name}: {old} -> {new}")


def validity(side: Side) -> str:
    """Return the validity of a group in some words: `good`, `remarks`, `void`, or `1 of 5 void`."""
    states = [run.validity.outcome if run.status == "complete" else run.status for run in side.runs]
    worst = [state for state in states if state not in ("good", "remarks")]
    if not worst:
        return "remarks" if "remarks" in states else "good"
    counts = Counter(worst).items()
    return ", ".join(state if n == len(states) else f"{n} of {len(states)} {state}" for state, n in counts)


def workload(side: Side) -> str:
    """Format a workload, for example `MODEL, guide-cuda: dataset random, input_len 41`."""
    values = {name: value for name, value in side.workload.items() if value not in ("False", "0")}
    model, preset = values.pop("model", ""), values.pop("preset", "")
    return one_line(f"{model}, {preset}: {', '.join(f'{name} {value}' for name, value in values.items())}")


def remarks(side: Side) -> list[str]:
    """Return the remarks on runs that are compared, the first one of each rule."""
    found = {remark.rule: remark for run in reversed(side.usable) for remark in run.validity.remarks}
    return [one_line(f"'{side.name}': {remark.sentence}") for remark in found.values()]


def _short(value: str) -> str:
    if value.startswith("sha256:") and "," not in value:
        return value[:19]
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
