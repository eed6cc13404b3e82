"""The values that the charts of a page draw. Pure: records in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum

from launch.bench.changes import facts, hardware
from launch.bench.compare_runs import Summary, measured, summary
from launch.bench.comparison import is_measurement
from launch.bench.history import Side
from launch.bench.metrics import MAIN, Metric, metric
from launch.bench.presets import percentile_needs
from launch.bench.record import Record
from launch.report.page import Page
from launch.spec.control_characters import one_line

PERCENTILES = ("median", "p90", "p95", "p99")
LONGEST_LABEL = 36  # characters of a name in a chart
MOST_STARTS = 6  # starts of servers in one chart, the newest ones
_USERS = ("concurrency", "requests", "request_rate")  # of a load
BAND = 2.0  # the noise band is this many standard deviations wide on both sides


@dataclass(frozen=True)
class Point:
    """One group: tokens a second for each user and for each GPU. `load` is the number of users."""

    per_user: float
    per_gpu: float
    load: str
    kept: bool  # the means are within the SLO; true without one


@dataclass(frozen=True)
class Line:
    """The points of one layout, the fewest users first."""

    layout: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds by percentile of one time and one group; None from too few requests."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Run:
    """One run of the history. `index` is that of its group."""

    index: int
    value: float
    usable: bool


@dataclass(frozen=True)
class Start:
    """Seconds by phase of one start of a server."""

    label: str
    phases: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        """The time from start to ready."""
        return fsum(seconds for _, seconds in self.phases)


def pareto(page: Page) -> list[Line]:
    """Return throughput of a GPU against speed for a user: a line for each layout, a point for each load.

    Only groups that differ from the main one in the number of users alone are shown.
    """
    sides = [side for side in page.sides if side.usable and _lengths(side) == _lengths(page.main)]
    several = len({hardware(side.usable[-1]) for side in sides}) > 1
    found: dict[str, dict[str, Side]] = {}
    for side in sides:
        run = side.usable[-1]
        name = f"{layout(run)}, {hardware(run)}" if several else layout(run)
        found.setdefault(short(name), {})[_load(run)] = side  # in place of an older one of this load
    lines = []
    for name, by_load in found.items():
        ordered = sorted(by_load.values(), key=lambda side: _users(side.usable[-1]))
        points = tuple(point for side in ordered if (point := _point(side, page)))
        lines += [Line(name, points)] if points else []
    return lines


def _lengths(side: Side) -> dict[str, str]:
    """Return the workload without the number of users."""
    return {name: value for name, value in side.workload.items() if name not in _USERS}


def percentiles(page: Page, kind: str) -> list[Percentiles]:
    """Return the percentiles of `ttft` or `tpot` of the main group, then of the one that it is compared with."""
    sides = [page.comparison.old] if page.comparison else []
    found = []
    for side in (page.main, *sides):
        values = tuple(_percentile(side, name, kind) for name in PERCENTILES)
        if any(value is not None for value in values):
            found.append(Percentiles(short(side.name), values))
    return found


def history(page: Page) -> list[Run]:
    """Return the main metric of every run of this workload; runs that are not usable are marked."""
    main = metric(MAIN)
    return [
        Run(index, value, run in side.usable)
        for index, side in enumerate(page.history)
        for run in side.runs
        if (value := measured(run, main))
    ]


def group_means(page: Page) -> list[tuple[int, float]]:
    """Return the mean of each group of the history, by the index of the group."""
    means = ((i, summary(side, metric(MAIN))) for i, side in enumerate(page.history))
    return [(i, found.mean) for i, found in means if found]


def noise_band(page: Page) -> tuple[float, float] | None:
    """Return between which values a run of the old group lies by noise alone; None if the noise is not known.

    The noise is the measured one of the host, or the spread of the group if that is greater.
    """
    if page.comparison:
        row = page.comparison.row(MAIN)
        return _band(row.old, row.floor)
    found = summary(page.main, metric(MAIN))
    return _band(found, 0.0) if found else None


def starts(page: Page) -> list[Start]:
    """Return the phases of the newest starts whose phases are recorded, oldest first."""
    found: dict[str, Start] = {}
    for run in (run for side in page.sides for run in side.runs):
        phases = tuple((one_line(n), s) for n, s in run.server.start_seconds.items() if is_measurement(s))
        if phases:
            when = run.time[5:16].replace("T", " ")
            found.setdefault(run.server.start_id, Start(f"{layout(run)} {when}", phases))
    return list(found.values())[-MOST_STARTS:]


def layout(run: Record) -> str:
    """Return a layout in a few characters: `TP4`, `DP2 EP`, with the strategy if no size is recorded."""
    sizes = run.server.layout
    parts = [f"{name.upper()}{size}" for name, size in sizes.items() if name != "ep" and size > 1]
    parts += ["EP"] if sizes.get("ep", 1) > 1 else []
    plain = f"TP{sizes['tp']}" if "tp" in sizes else run.server.strategy or "not recorded"
    return short(" ".join(parts) or plain)


def on_gpus(run: Record) -> bool:
    """Return whether a server used GPUs: on a CPU, the record has the name of the CPU as the hardware."""
    return bool(run.host.hardware) and run.host.hardware != run.host.cpu


def short(text: str) -> str:
    """Return a name for a chart: one line, cut."""
    line = one_line(text)
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def facts_line(run: Record) -> str:
    """Return where a run was measured, on one line."""
    found = facts(run)
    words = (layout(run), found.get("hardware", ""), f"vLLM {run.server.vllm}" if run.server.vllm else "")
    return one_line(" · ".join(word for word in words if word))


def _point(side: Side, page: Page) -> Point | None:
    tpot, rate = _mean(side, metric("mean_tpot_ms")), _mean(side, metric(MAIN))
    if not tpot or not rate:
        return None
    run = side.usable[-1]
    gpus = run.host.count if on_gpus(run) and run.host.count else 1
    return Point(1000 / tpot, rate / gpus, _load(run), _kept(side, page))


def _kept(side: Side, page: Page) -> bool:
    if page.slo is None:
        return True
    limits = ((page.slo.ttft_ms, "mean_ttft_ms"), (page.slo.tpot_ms, "mean_tpot_ms"))
    return all((_mean(side, metric(key)) or 0) <= limit for limit, key in limits if limit is not None)


def _mean(side: Side, one: Metric) -> float | None:
    found = summary(side, one)
    return found.mean if found else None


def _users(run: Record) -> float:
    return run.load.concurrency or run.load.request_rate or run.load.requests


def _load(run: Record) -> str:
    """Return what was sent at once: `10` users, or `5/s` with a rate."""
    return f"{run.load.request_rate:g}/s" if run.load.request_rate else f"{_users(run):g}"


def _percentile(side: Side, name: str, kind: str) -> float | None:
    least = 1 if name == "median" else percentile_needs(float(name[1:]))
    one = Metric(f"{name}_{kind}_ms", name, "ms", "lower", "", least)
    return _mean(side, one)


def _band(found: Summary, floor: float) -> tuple[float, float] | None:
    noise = max(found.spread or 0.0, floor)
    return (found.mean * exp(-BAND * noise), found.mean * exp(BAND * noise)) if noise else None


def labels(sides: Sequence[Side]) -> list[str]:
    """Return the dates of groups for an axis; of groups of one day the hours."""
    times = [one_line(side.runs[0].time) for side in sides]
    one_day = len({time[:10] for time in times}) == 1
    return [time[11:16] if one_day else time[5:10] for time in times]
