"""Format comparisons of benchmarks, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from commands.output import table
from launch.plural import count
from launch.spec.control_characters import one_line

if TYPE_CHECKING:
    from launch.bench.changes import Change
    from launch.bench.compare_runs import Row, RunComparison, Summary
    from launch.bench.comparison import Comparison
    from launch.bench.guide_figures import GuideRow
    from launch.bench.history import Side

HEADERS = ("METRIC", "BEFORE", "NOW", "RATIO", "95% INTERVAL", "RESULT")
LONGEST = 60  # characters of a value that changed
EXTREME = 1000  # a ratio above it, or below its inverse, is not printed as a number


def comparison_text(found: RunComparison) -> str:
    """Format a comparison: metrics, remarks, and what changed."""
    title = f"{_title(found.new)} compared with {_title(found.old)}"
    return "\n".join([title, table(HEADERS, [_row(row) for row in found.rows]), *notes(found)])


def notes(found: RunComparison) -> list[str]:
    """Return the lines below a comparison: its limits, and what changed."""
    remarks = [f"note: {remark}" for remark in (*found.left_out, *found.limits)]
    changes = [f"changed: {change(one)}" for one in found.changes]
    return [*remarks, *(changes or ["changed: nothing that is recorded"])]


def comparison_json(found: RunComparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "old": side_json(found.old),
        "new": side_json(found.new),
        "metrics": [_row_json(row) for row in found.rows],
        "changes": [{"name": one.name, "old": one.old, "new": one.new} for one in found.changes],
        "left_out": list(found.left_out),
        "limits": list(found.limits),
    }


def minute(side: Side) -> str:
    """Return when the first run of a side began, to the minute."""
    return side.runs[0].time[:16].replace("T", " ")


def side_json(side: Side) -> dict[str, Any]:
    """Return one side of a comparison, or one group of a report, as JSON values."""
    return {
        "name": side.name,
        "time": side.runs[0].time,
        "runs": [run.id for run in side.runs],
        "compared": [run.id for run in side.usable],
        "starts": len(side.starts),
    }


def guide_text(rows: Iterable[GuideRow], caution: str) -> str:
    """Format the figures of the guide next to the measured ones."""
    cells = [
        (f"{row.metric.label} ({row.metric.unit})", f"{row.guide:g}", number(row.measured), ratio(row.ratio))
        for row in rows
    ]
    return "\n".join([table(("METRIC", "GUIDE", "NOW", "RATIO"), cells), f"note: {caution}"])


def guide_json(rows: Iterable[GuideRow], caution: str) -> dict[str, Any]:
    """Return the figures of the guide next to the measured ones as JSON values."""
    figures = [
        {"key": row.metric.key, "guide": row.guide, "measured": row.measured, "ratio": row.ratio}
        for row in rows
    ]
    return {"figures": figures, "note": caution}


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


def summary_json(found: Summary) -> dict[str, Any]:
    """Return the values of one side as JSON values."""
    return {"values": list(found.values), "mean": found.mean, "spread": found.spread}


def change(found: Change) -> str:
    """Format what changed, for example `driver: 580.95 -> 580.105`; long values are cut."""
    old, new = _short(found.old), _short(found.new)
    if old == new:
        old, new = found.old, found.new
    return one_line(f"{found.name}: {old} -> {new}")


def _title(side: Side) -> str:
    used, runs = len(side.usable), count(len(side.runs), "run")
    which = runs if used == len(side.runs) else f"{used} of {runs}"
    return one_line(f"{side.name} ({minute(side)}, {which})")


def _row(row: Row) -> tuple[str, ...]:
    before, now = (f"{number(one.mean)} {spread(one)}".rstrip() for one in (row.old, row.new))
    found = row.comparison
    name = f"{row.metric.label} ({row.metric.unit})"
    return name, before, now, ratio(found.ratio), interval(found), outcome(found)


def _row_json(row: Row) -> dict[str, Any]:
    found = row.comparison
    return {
        "key": row.metric.key,
        "unit": row.metric.unit,
        "better": row.metric.better,
        "old": summary_json(row.old),
        "new": summary_json(row.new),
        "floor": row.floor,
        "ratio": found.ratio,
        "interval": None if found.low is None else [found.low, found.high],
        "result": str(found.outcome),
        "repeats": found.repeats,
    }


def _short(value: str) -> str:
    if value.startswith("sha256:") and "," not in value:
        return value[:19]
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
