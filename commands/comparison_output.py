"""Format comparisons of benchmarks, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from commands.output import table
from launch.bench.wording import change, interval, minute, number, outcome, ratio, spread
from launch.plural import count
from launch.spec.control_characters import one_line

if TYPE_CHECKING:
    from launch.bench.compare_runs import Row, RunComparison, Summary
    from launch.bench.guide_figures import GuideRow
    from launch.bench.history import Side

HEADERS = ("METRIC", "BEFORE", "NOW", "RATIO", "95% INTERVAL", "RESULT")


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


def summary_json(found: Summary) -> dict[str, Any]:
    """Return the values of one side as JSON values."""
    return {"values": list(found.values), "mean": found.mean, "spread": found.spread}


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
