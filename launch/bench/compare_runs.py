"""Compare two sets of recorded runs: every metric, what changed, and what limits the conclusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean, stdev

from errors import Refused
from launch.bench.changes import Change, changes
from launch.bench.comparison import Comparison, compare, is_measurement
from launch.bench.history import Side, require_same_workload
from launch.bench.metrics import MAIN, Metric, load_metrics
from launch.bench.record import Record
from launch.plural import count
from launch.spec.control_characters import one_line

Floors = Mapping[str, float]  # noise by key of the metric: standard deviation of logarithms


@dataclass(frozen=True)
class Summary:
    """The values of one metric: the geometric mean, and the spread as a coefficient of variation."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The geometric mean, of which the ratio is formed."""
        return exp(fmean(map(log, self.values)))

    @property
    def spread(self) -> float | None:
        """The standard deviation of the logarithms, or None for one value. 0.03 is about 3 %."""
        return stdev(map(log, self.values)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Row:
    """One metric of a comparison."""

    metric: Metric
    old: Summary
    new: Summary
    floor: float
    comparison: Comparison


@dataclass(frozen=True)
class RunComparison:
    """Two sides, their metrics, what changed between them, and sentences that limit the conclusion."""

    old: Side
    new: Side
    rows: tuple[Row, ...]
    changes: tuple[Change, ...]
    left_out: tuple[str, ...]  # runs that are not compared
    limits: tuple[str, ...]  # what the interval does not cover

    def row(self, key: str) -> Row:
        """Return a metric. Raises Refused if a side did not measure it."""
        for row in self.rows:
            if row.metric.key == key:
                return row
        raise Refused(
            f"'{self.old.name}' and '{self.new.name}' have no '{key}' in common",
            why=f"measured: {', '.join(row.metric.key for row in self.rows)}",
            fix="invoke bench",
        )


def compare_runs(old: Side, new: Side, floors: Floors | None = None) -> RunComparison:
    """Compare two sides of one workload. Raises Refused if they cannot be compared."""
    require_same_workload(old, new)
    for side in (old, new):
        require_usable(side)
    floors = floors or {}
    by_start = min(len(old.starts), len(new.starts)) > 1
    rows = (_row(metric, old, new, by_start, floors.get(metric.key, 0.0)) for metric in load_metrics())
    found = tuple(row for row in rows if row)
    if all(row.metric.key != MAIN for row in found):
        raise Refused(
            f"'{old.name}' and '{new.name}' have no output throughput in common", fix="invoke bench"
        )
    limits = (*_of_starts(old, new), *_of_noise(floors))
    differences = changes(old.usable, new.usable)
    return RunComparison(old, new, found, differences, (*left_out(old), *left_out(new)), limits)


def measured(run: Record, metric: Metric) -> float | None:
    """Return a value of a run's result, or None if it is not a measurement or is taken of too few values."""
    value = _number(run, metric.key)
    # A result without a duration is of a vLLM that does not save it; a duration of 0 is not a measurement.
    took_time = "duration" not in run.result or _number(run, "duration")
    return value if took_time and _count(run, metric) >= metric.least else None


def _count(run: Record, metric: Metric) -> float:
    """Return of how many values a metric is taken: of each request, or of each token after the first."""
    completed = _number(run, "completed") or 0
    return completed if metric.each == "request" else (_number(run, "total_output_tokens") or 0) - completed


def _number(run: Record, key: str) -> float | None:
    value = run.result.get(key)
    return float(value) if isinstance(value, int | float) and is_measurement(value) else None


def summary(side: Side, metric: Metric, by_start: bool = False) -> Summary | None:
    """Return the values of the usable runs; with `by_start`, the geometric mean of each start of a server."""
    by_run = [(run.server.start_id, value) for run in side.usable if (value := measured(run, metric))]
    if not by_run:
        return None
    if not by_start:
        return Summary(tuple(value for _, value in by_run))
    starts = dict.fromkeys(start for start, _ in by_run)
    return Summary(tuple(Summary(tuple(v for s, v in by_run if s == start)).mean for start in starts))


def require_usable(side: Side) -> None:
    """Raise Refused with the reasons if no run of a side may be compared."""
    if side.usable:
        return
    why = _reasons(side.runs)
    raise Refused(f"no run of '{side.name}' can be compared", why=why, fix="invoke bench")


def left_out(side: Side) -> list[str]:
    """Return the sentence about runs that are never compared: void, interrupted and failed ones."""
    others = [run for run in side.runs if run not in side.usable]
    if not others:
        return []
    return [f"{count(len(others), 'run')} of '{side.name}' not compared: {_reasons(others)}"]


def _row(metric: Metric, old: Side, new: Side, by_start: bool, floor: float) -> Row | None:
    a, b = summary(old, metric, by_start), summary(new, metric, by_start)
    if a is None or b is None:
        return None
    return Row(metric, a, b, floor, compare(a.values, b.values, floor, metric.higher_is_better))


def _reasons(runs: Sequence[Record]) -> str:
    """Return why runs cannot be compared, each reason once with its number of runs."""
    return "; ".join(f"{number} {reason}" for reason, number in Counter(map(_reason, runs)).items())


def _reason(run: Record) -> str:
    if run.status != "complete":
        return run.status
    void = [remark.sentence for remark in run.validity.remarks if remark.outcome == "void"]
    return f"void: {one_line(void[0]) if void else 'no reason is recorded'}"


def _of_starts(old: Side, new: Side) -> list[str]:
    """Return the sentence about starts of servers, unless both sides have several."""
    few = [side.name for side in (old, new) if len(side.starts) == 1]
    if not few:
        return []
    which = "one start each" if len(few) == 2 else f"one start of '{few[0]}'"
    return [f"{which}: the interval does not cover the difference between two starts of a server"]


def _of_noise(floors: Floors) -> list[str]:
    return [] if floors else ["the noise of this host is not measured: `invoke bench --noise` measures it"]
