"""What a page says: the newest group of one model, what it is compared with, and the other groups around it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from errors import Refused
from launch.bench.compare_runs import RunComparison, Summary, left_out, require_usable, summary
from launch.bench.history import Side
from launch.bench.metrics import MAIN, Metric, load_metrics, metric
from launch.bench.presets import load_of, load_presets
from launch.bench.record import Record
from launch.bench.slo import Slo
from launch.bench.wording import change, interval, number, ratio, remarks, spread, validity
from launch.plural import count
from launch.spec.control_characters import one_line

Compare = Callable[[Side, Side], RunComparison]


@dataclass(frozen=True)
class Page:
    """The groups of one model, oldest first. `main` is the newest one that has usable runs."""

    sides: tuple[Side, ...]
    main: Side
    comparison: RunComparison | None
    slo: Slo | None = None

    @property
    def title(self) -> str:
        """The model and the preset."""
        run = self.main.usable[0]
        return one_line(f"{run.server.model}, {run.preset}")

    @property
    def history(self) -> tuple[Side, ...]:
        """The groups of the main group's workload, oldest first."""
        return tuple(side for side in self.sides if side.workload == self.main.workload)

    @property
    def notes(self) -> tuple[str, ...]:
        """What limits the figures: runs that are left out, remarks on runs, and what the interval does not cover."""
        compared = self.comparison
        sides = (compared.old, compared.new) if compared else (self.main,)
        found = [line for side in sides for line in (*left_out(side), *remarks(side))]
        return tuple(dict.fromkeys((*found, *(compared.limits if compared else ()))))


@dataclass(frozen=True)
class MetricRow:
    """One metric of the main group, with the group that it is compared with."""

    metric: Metric
    now: Summary
    before: Summary | None = None
    ratio: str = ""
    interval: str = ""
    result: str = ""


def build_page(sides: Sequence[Side], compare: Compare, slo: Slo | None = None) -> Page:
    """Return the page of groups, oldest first. Raises Refused for no usable run, and for several models."""
    if not sides:
        raise Refused("there are no recorded runs to report", fix="invoke bench")
    _require_one_model(sides)
    main = next((side for side in reversed(sides) if side.usable), None)
    if main is None:
        require_usable(Side(" ".join(side.name for side in sides[-3:]), sides[-1].runs))
        raise AssertionError("unreachable: no side is usable")
    earlier = sides[: sides.index(main)]
    old = next((side for side in reversed(earlier) if side.usable and side.workload == main.workload), None)
    return Page(tuple(sides), main, compare(old, main) if old else None, slo)


def headline(page: Page) -> str:
    """Return the one sentence of a page: the throughput with its spread, and the result of the comparison."""
    found = summary(page.main, metric(MAIN))
    figure = (
        f"{number(found.mean)} output tok/s {spread(found)}".rstrip() if found else "no output throughput"
    )
    runs = f"{count(len(page.main.usable), 'run')}, {validity(page.main)}"
    if page.comparison is None:
        return f"{figure} ({runs}); no earlier group of this load to compare with"
    result = page.comparison.row(MAIN).comparison
    more = f" ({result.repeats} runs of each side would probably tell)" if result.repeats else ""
    name = one_line(page.comparison.old.name)
    return f"{result.outcome.capitalize()}{more}: {figure} ({runs}), {ratio(result.ratio)} times '{name}'" + (
        f", 95% interval {interval(result)}" if result.low is not None else ""
    )


def outcome(page: Page) -> str:
    """Return the result of the comparison as the name of a colour: `faster`, `slower`, `same` or `unclear`."""
    result = page.comparison.row(MAIN).comparison.outcome if page.comparison else "cannot tell"
    return "unclear" if result == "cannot tell" else str(result)


def metric_rows(page: Page) -> list[MetricRow]:
    """Return every metric that the main group has, compared if both groups have it."""
    compared = {row.metric.key: row for row in page.comparison.rows} if page.comparison else {}
    rows = []
    for one in load_metrics():
        now = summary(page.main, one)
        row = compared.get(one.key)
        if row:
            found = row.comparison
            words = (ratio(found.ratio), interval(found), str(found.outcome))
            rows.append(MetricRow(one, row.new, row.old, *words))
        elif now:
            rows.append(MetricRow(one, now))
    return rows


def metric_table(page: Page) -> tuple[list[str], list[list[str]]]:
    """Return the headers and the rows of the metrics; the columns of a comparison only if there is one."""
    compared = page.comparison is not None
    headers = ["Metric", "Now", *(["Before", "Ratio", "95% interval", "Result"] if compared else [])]
    return headers, [_cells(row, compared) for row in metric_rows(page)]


def change_lines(page: Page) -> list[str]:
    """Return what changed, one line each; nothing without a comparison."""
    if page.comparison is None:
        return []
    return [change(one) for one in page.comparison.changes] or ["nothing that is recorded"]


def _cells(row: MetricRow, compared: bool) -> list[str]:
    now = f"{number(row.now.mean)} {spread(row.now)}".rstrip()
    before = f"{number(row.before.mean)} {spread(row.before)}".rstrip() if row.before else "-"
    cells = [f"{row.metric.label} ({row.metric.unit})", now]
    return [*cells, before, row.ratio or "-", row.interval or "-", row.result or "-"] if compared else cells


def repeat_command(page: Page) -> str:
    """Return the command that measures the main group again."""
    run = page.main.usable[0]
    words = ["invoke", "bench", "--preset", run.preset]
    words += ["--scale", f"{run.scale:g}"] if run.scale != 1 else []
    users = _other_users(run)
    words += ["--sweep", f"concurrency={users}"] if users else []
    words += [] if users else ["--repeat", str(max(run.repeats, len(page.main.runs)))]
    return shlex.join(one_line(word) for word in words)


def load_command(page: Page) -> str:
    """Return the load as the container ran it, with the seed of its last run."""
    return shlex.join(one_line(word) for word in page.main.usable[-1].argv)


def serve_command(page: Page) -> str:
    """Return the command of the measured server, "" if it is not recorded."""
    return shlex.join(one_line(word) for word in page.main.usable[-1].server.argv)


def _other_users(run: Record) -> int | None:
    """Return the requests at once, if a search or a sweep chose them and not the preset."""
    preset = load_presets().get(run.preset)
    if preset is None:
        return None
    usual = load_of(preset, preset.scaled(run.scale)).concurrency
    return run.load.concurrency if run.load.concurrency != usual else None


def _require_one_model(sides: Sequence[Side]) -> None:
    models = list(dict.fromkeys(one_line(side.runs[0].server.model) for side in sides))
    if len(models) > 1:
        name = one_line(sides[-1].name)
        why = f"the records are of {count(len(models), 'model')}: {', '.join(models[:4])}"
        raise Refused(
            "a page shows the runs of one model", why=why, fix=f"invoke report {name} --format html"
        )
