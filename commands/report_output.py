"""Format recorded benchmarks: one row for each group, with its spread, its validity and its comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands import comparison_output
from commands.output import table
from launch.bench import wording
from launch.bench.compare_runs import left_out, summary
from launch.bench.metrics import MAIN, load_metrics, metric
from launch.spec.control_characters import one_line

if TYPE_CHECKING:
    from launch.bench.against import Entry
    from launch.bench.compare_runs import RunComparison

HEADERS = (
    "GROUP",
    "TIME",
    "RUNS",
    "VALIDITY",
    "TOK/S",
    "SPREAD",
    "TTFT MS",
    "TPOT MS",
    "RATIO",
    "95% INTERVAL",
    "RESULT",
)
COLUMNS = ("mean_ttft_ms", "mean_tpot_ms")


def overview_text(entries: Sequence[Entry]) -> str:
    """Format the groups of one workload, then what limits and what may explain each comparison."""
    compared = [entry.comparison for entry in entries if entry.comparison]
    notes = [line for entry in entries for line in (*left_out(entry.side), *wording.remarks(entry.side))]
    notes += [line for found in compared for line in found.limits]
    lines = [
        wording.workload(entries[-1].side),
        table(HEADERS, [_row(entry) for entry in entries]),
        *(f"note: {line}" for line in dict.fromkeys(notes)),
        *map(_changed, compared),
    ]
    return "\n".join(lines)


def overview_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return groups and their comparisons as JSON values."""
    return {"groups": [group_json(entry) for entry in entries]}


def group_json(entry: Entry) -> dict[str, Any]:
    """Return a group, its metrics and its comparison as JSON values."""
    side = entry.side
    summaries = ((one, summary(side, one)) for one in load_metrics())
    return {
        **comparison_output.side_json(side),
        "workload": side.workload,
        "validity": wording.validity(side),
        "reasons": [remark.sentence for run in side.runs for remark in run.validity.remarks],
        "metrics": {
            one.key: {"unit": one.unit, **comparison_output.summary_json(found)}
            for one, found in summaries
            if found
        },
        "comparison": comparison_output.comparison_json(entry.comparison) if entry.comparison else None,
    }


def _row(entry: Entry) -> tuple[str, ...]:
    side = entry.side
    main = summary(side, metric(MAIN))
    others = (summary(side, metric(key)) for key in COLUMNS)
    figures = [wording.number(one.mean) if one else "-" for one in (main, *others)]
    spread = wording.spread(main) if main else ""
    name, time = one_line(side.name), one_line(wording.minute(side))
    start = (name, time, str(len(side.runs)), wording.validity(side))
    return (*start, figures[0], spread, *figures[1:], *_compared(entry.comparison))


def _compared(found: RunComparison | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    row = found.row(MAIN).comparison
    return wording.ratio(row.ratio), wording.interval(row), wording.outcome(row)


def _changed(found: RunComparison) -> str:
    changes = "; ".join(map(wording.change, found.changes)) or "nothing that is recorded"
    return f"changed from {found.old.name} to {found.new.name}: {changes}"
