"""Draw the charts of a page with matplotlib: in colours by role, with names as they are and legends outside."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import Failed
from launch.report import series
from launch.report.colours import LIGHT, SERIES
from launch.report.page import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vP"
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")
HEADROOM = 1.15  # an axis ends above its greatest value
MOST_LAYOUTS = len(SERIES)
_WIDTH = 4.6  # inches: 331 px, so that a phone of 360 px shows it in its own size


@dataclass(frozen=True)
class Chart:
    """One chart. `draw` fills axes with a page's values; `rows` is the number of axes below each other."""

    name: str
    title: str
    caption: str
    draw: Callable[[list[Axes], Page], None]
    rows: int = 1
    height: float = 3.0


def charts(page: Page) -> list[Chart]:
    """Return the charts for which a page has values."""
    found = []
    if series.pareto(page):
        per = "each GPU" if series.on_gpus(page.main.usable[-1]) else "the server"
        slo = f" Shaded: {page.slo.tpot_ms:g} ms a token or less." if page.slo and page.slo.tpot_ms else ""
        hollow = " Hollow: the mean misses the SLO." if page.slo else ""
        caption = f"Output tokens a second of {per}. Numbers: requests at once. Up and right is better."
        found.append(Chart("pareto", "Throughput and speed", f"{caption}{slo}{hollow}", _pareto))
    if series.percentiles(page, "ttft") or series.percentiles(page, "tpot"):
        caption = (
            "Lower is better. A percentile from too few requests is left out: P90 needs 30, P95 60, P99 300."
        )
        found.append(Chart("latency", "Waiting times", caption, _latency, 2, 4.2))
    if series.history(page):
        band = (
            " Shaded: where runs of the earlier group lie by noise alone (±2 standard deviations)."
            if series.noise_band(page)
            else ""
        )
        caption = f"Each dot is a run, each line goes through the means of the groups. Crosses are not compared.{band}"
        found.append(Chart("history", "History of this load", caption, _history))
    if series.starts(page):
        height = max(2.8, 1.2 + 0.45 * len(series.starts(page)))  # two lines of text for each bar
        found.append(
            Chart("start", "Time to ready", "Seconds from start to ready, by phase.", _starts, 1, height)
        )
    return found


@contextmanager
def drawn(chart: Chart, page: Page) -> Iterator[Figure]:
    """Draw one chart. Raises Failed without matplotlib."""
    with _style(chart.name):
        figure, axes = new_figure(_WIDTH, chart.height, chart.rows)
        chart.draw(axes, page)
        yield figure


def picture(page: Page, title: str) -> bytes:
    """Return all charts as one PNG, below a title. Raises Failed without matplotlib."""
    from io import BytesIO

    found = charts(page)
    stream = BytesIO()
    with _style("picture"):
        figure = _figure(2 * _WIDTH + 0.6, 0.8 + 3.9 * ((len(found) + 1) // 2))
        rows = (len(found) + 1) // 2 or 1
        parts: Any = figure.subfigures(rows, 2, squeeze=False)
        for chart, part in zip(found, parts.flat, strict=False):
            part.suptitle(chart.title, fontsize=12, fontweight="bold", x=0.04, ha="left")
            axes = part.subplots(chart.rows, 1, squeeze=False)
            chart.draw([one for row in axes for one in row], page)
        figure.suptitle(_wrapped(title), x=0.02, ha="left", fontsize=13)
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def new_figure(width: float, height: float, rows: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes below each other."""
    figure = _figure(width, height)
    grid: Any = figure.subplots(rows, 1, squeeze=False)
    return figure, [one for row in grid for one in row]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Set matplotlib's parameters for the same bytes on every host: its own font, no mathematics in names."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise Failed(
            "matplotlib is not installed",
            why="pages and pictures have charts",
            fix="pip install matplotlib, or report with --format markdown",
        ) from None
    ink, soft, rule = LIGHT["ink"], LIGHT["soft"], LIGHT["rule"]
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks some; a browser has others
        mpl.rcdefaults()
        mpl.rcParams.update({
            "svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False, "text.usetex": False,
            "font.family": "DejaVu Sans", "font.size": 11, "text.color": ink,
            "axes.labelcolor": soft, "axes.edgecolor": rule, "axes.facecolor": "none",
            "figure.facecolor": LIGHT["paper"], "xtick.color": soft, "ytick.color": soft,
            "grid.color": rule, "axes.grid": True, "grid.linewidth": 0.6, "axes.axisbelow": True,
            "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
            "axes.unicode_minus": False,
        })  # fmt: skip
        yield


def _pareto(axes: list[Axes], page: Page) -> None:
    (ax,) = axes
    lines = series.pareto(page)[-MOST_LAYOUTS:]
    per = "GPU" if series.on_gpus(page.main.usable[-1]) else "server"
    for i, line in enumerate(lines):
        colour = LIGHT[SERIES[i]]
        x, y = [p.per_user for p in line.points], [p.per_gpu for p in line.points]
        ax.plot(x, y, color=colour, linestyle=DASHES[i % 4], label=line.layout, linewidth=1.8)
        for point in line.points:
            face = colour if point.kept else LIGHT["paper"]
            ax.plot(point.per_user, point.per_gpu, MARKERS[i], mfc=face, mec=colour, markersize=7)
            ax.annotate(
                point.load, (point.per_user, point.per_gpu), (5, 5), textcoords="offset points", fontsize=10
            )
    points = [point for line in lines for point in line.points]
    ax.set_xlim(0, HEADROOM * max(point.per_user for point in points))
    ax.set_ylim(0, HEADROOM * max(point.per_gpu for point in points))
    if page.slo and page.slo.tpot_ms:
        edge = 1000 / page.slo.tpot_ms
        right = max(ax.get_xlim()[1], HEADROOM * edge)
        ax.axvspan(edge, right, color=LIGHT["area"], zorder=0, linewidth=0)
        ax.set_xlim(0, right)  # after the area, which would widen the axis
    ax.set_xlabel("output tok/s of one user")
    ax.set_ylabel(f"output tok/s per {per}")
    _legend(ax)


def _latency(axes: list[Axes], page: Page) -> None:
    for ax, kind in zip(axes, ("ttft", "tpot"), strict=True):
        top = 0.0
        for i, found in enumerate(series.percentiles(page, kind)):
            top = max(top, *(value for value in found.values if value is not None))
            points = [(x, value) for x, value in enumerate(found.values) if value is not None]
            ax.plot(
                [x for x, _ in points], [value for _, value in points],
                color=LIGHT[SERIES[i]], marker=MARKERS[i], linestyle=DASHES[i], label=found.label,
            )  # fmt: skip
        ax.set_ylabel(f"{kind.upper()}, ms")
        ax.set_xticks(range(len(series.PERCENTILES)), [name.upper() for name in ("P50", "P90", "P95", "P99")])
        ax.set_xlim(-0.3, 3.3)
        ax.set_ylim(0, HEADROOM * top or 1)
    _legend(axes[-1])


def _history(axes: list[Axes], page: Page) -> None:
    (ax,) = axes
    runs = series.history(page)
    band = series.noise_band(page)
    if band:
        ax.axhspan(*band, color=LIGHT["band"], zorder=0, linewidth=0)
    means = series.group_means(page)
    ax.plot([i for i, _ in means], [value for _, value in means], color=LIGHT["s1"], linewidth=1.4)
    for usable, marker, role in ((True, "o", "s1"), (False, "x", "bad")):
        chosen = [run for run in runs if run.usable is usable]
        ax.plot([r.index for r in chosen], [r.value for r in chosen], marker, color=LIGHT[role], markersize=5)
    names = series.labels(page.history)
    step = max(1, (len(names) + 4) // 5)
    ax.set_xticks(range(0, len(names), step), names[::step])
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(0, HEADROOM * max(*(run.value for run in runs), band[1] if band else 0.0))
    ax.set_ylabel("output tok/s")


def _starts(axes: list[Axes], page: Page) -> None:
    (ax,) = axes
    found = series.starts(page)
    names = list(dict.fromkeys(name for start in found for name, _ in start.phases))
    left = [0.0] * len(found)
    for i, name in enumerate(names):
        seconds = [dict(start.phases).get(name, 0.0) for start in found]
        ax.barh(
            range(len(found)), seconds, 0.6, left=left, label=series.short(name),
            color=LIGHT[SERIES[i % len(SERIES)]], edgecolor=LIGHT["paper"], linewidth=0.8,
        )  # fmt: skip
        left = [a + b for a, b in zip(left, seconds, strict=True)]
    for i, total in enumerate(left):
        ax.annotate(
            f"{total:.0f} s", (total, i), (4, 0), textcoords="offset points", va="center", fontsize=10
        )
    ax.set_yticks(range(len(found)), [_wrapped(start.label, 14) for start in found])
    spare = max(0.0, (3 - len(found)) / 2)  # so that one bar does not fill the axes
    ax.set_ylim(len(found) - 0.5 + spare, -0.5 - spare)
    ax.set_xlim(0, HEADROOM * max(left))
    ax.set_xlabel("seconds")
    _legend(ax, columns=3)


def _legend(ax: Axes, columns: int = 2) -> None:
    """Put the legend below the axes, so that it covers no point."""
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=columns, fontsize=10)


def _wrapped(text: str, width: int = 110) -> str:
    from textwrap import wrap

    return "\n".join(wrap(text, width)[:3])
