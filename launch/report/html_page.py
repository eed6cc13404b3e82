"""Write a page as one HTML file: no script, no request, and no style but its own, which the CSP names by its hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from launch.bench.compare_runs import summary
from launch.bench.metrics import MAIN, load_metrics, metric
from launch.bench.wording import minute, number, spread, validity
from launch.plural import count
from launch.report.charts import charts
from launch.report.colours import DARK, LIGHT, variables
from launch.report.markup import Markup, element
from launch.report.page import (
    Page,
    change_lines,
    headline,
    load_command,
    metric_table,
    outcome,
    repeat_command,
    serve_command,
)
from launch.report.series import facts_line, layout, short
from launch.report.svg import Drawings, draw

SHEET = Path(__file__).with_name("page.css")
MOST_GROUPS = 200  # rows of the table of groups, the newest ones: they keep a page below 200 kB
MOST_LINES = 40  # changes and remarks
LONGEST_LINE = 400  # characters of a change or a remark
LONGEST_COMMAND = 4000  # characters
DIGITS = 6  # of a number in the data of a page


def html(page: Page) -> str:
    """Return a page as HTML. The same records give the same text. Raises Failed without matplotlib."""
    drawings = draw(charts(page), page)
    sheet = _sheet(drawings.css)
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_policy(sheet)}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", f"{page.title}: benchmark"),
        Markup(f"<style>{sheet}</style>"),
    )
    body = element("body", element("main", *_sections(page, drawings)))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _sheet(charts_css: str) -> str:
    """Return the style sheet. It has no text of a record, so that nothing in it needs an escape."""
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
    return f":root{{{variables(LIGHT)}}}{dark}{SHEET.read_text()}{charts_css}"


def _policy(sheet: str) -> str:
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _sections(page: Page, drawings: Drawings) -> list[Markup]:
    run = page.main.usable[-1]
    when = f"{minute(page.main)} UTC · {facts_line(run)}"
    slo = [element("p", f"SLO: {page.slo}", class_="soft")] if page.slo else []
    return [
        element("h1", page.title),
        element("p", when, class_="soft"),
        element("p", headline(page), class_=f"headline {outcome(page)}"),
        *slo,
        element("div", *(_figure(chart.title, chart.caption, svg) for chart, svg in drawings.charts), class_="charts"),
        *_section("Metrics", _metrics(page)),
        *_section("What changed", *_lines(change_lines(page))),
        *_section("Notes", *_lines(page.notes)),
        *_section("Measure it again", *_commands(page)),
        *_section("Groups", _groups(page)),
        element("details", element("summary", "Data of this page (JSON)"), element("pre", data(page))),
    ]  # fmt: skip


def _section(title: str, *content: Markup) -> list[Markup]:
    return [element("h2", title), *content] if content else []


def _figure(title: str, caption: str, svg: Markup) -> Markup:
    return element("figure", element("h2", title), svg, element("figcaption", caption))


def _metrics(page: Page) -> Markup:
    headers, rows = metric_table(page)
    caption = f"Group '{page.main.name}'"
    caption += f" compared with '{page.comparison.old.name}'" if page.comparison else ""
    return _table("Metrics", caption, headers, rows, numeric=range(1, 5))


def _lines(lines: Sequence[str]) -> list[Markup]:
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    shown = [line[:LONGEST_LINE] for line in (*lines[:MOST_LINES], *more)]
    return [element("ul", *(element("li", line) for line in shown))] if shown else []


def _commands(page: Page) -> list[Markup]:
    load, serve = load_command(page)[:LONGEST_COMMAND], serve_command(page)[:LONGEST_COMMAND]
    parts = [element("pre", repeat_command(page))]
    parts.append(element("details", element("summary", "The load, in the container"), element("pre", load)))
    if serve:
        parts.append(element("details", element("summary", "The server"), element("pre", serve)))
    return parts


def _groups(page: Page) -> Markup:
    headers = ("Group", "Time", "Load", "Layout", "Runs", "Validity", "tok/s", "Spread", "TTFT ms", "TPOT ms")
    sides = page.sides[-MOST_GROUPS:]
    left = len(page.sides) - len(sides)
    caption = f"{count(len(sides), 'group')}, newest first" + (
        f"; {left} older are not shown" if left else ""
    )
    rows = []
    for side in reversed(sides):
        run = side.runs[-1]
        found = [summary(side, metric(key)) for key in (MAIN, "mean_ttft_ms", "mean_tpot_ms")]
        rate, *times = [number(one.mean) if one else "-" for one in found]
        load = f"{run.preset} × {run.load.concurrency or run.load.requests}"
        start = [short(side.name), minute(side), load, layout(run), str(len(side.runs)), validity(side)]
        rows.append([*start, rate, (spread(found[0]) if found[0] else "") or "-", *times])
    return _table("Groups", caption, headers, rows, numeric=range(6, 10))


def _table(
    label: str, caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: range
) -> Markup:
    """Return a table that scrolls by itself; the region takes the focus, so that the arrow keys scroll it."""
    head = element("tr", *(element("th", h, class_=_number_class(i, numeric)) for i, h in enumerate(headers)))
    body = [
        element("tr", *(element("td", c, class_=_cell_class(i, c, numeric)) for i, c in enumerate(row)))
        for row in rows
    ]
    table = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", table, class_="scroll", role="region", aria_label=label, tabindex="0")


def _number_class(index: int, numeric: range) -> str:
    return "n" if index in numeric else ""


def _cell_class(index: int, text: str, numeric: range) -> str:
    return text if text in ("faster", "slower") else _number_class(index, numeric)


def data(page: Page) -> str:
    """Return the values of a page as JSON: one line for each run."""
    keys = [one.key for one in load_metrics()]
    rows = [
        json.dumps({
            "id": run.id, "group": run.group, "time": run.time, "status": run.status,
            "validity": run.validity.outcome, "layout": run.server.layout, "seed": run.seed,
            "result": {key: _rounded(run.result[key]) for key in keys if key in run.result},
        }, separators=(",", ":"))
        for side in page.sides[-MOST_GROUPS:]
        for run in side.runs[-MOST_GROUPS:]
    ]  # fmt: skip
    return "[\n" + ",\n".join(rows) + "\n]"


def _rounded(value: object) -> object:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
