"""Write a page as Markdown: a comment for a pull request that says the same as the HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from launch.bench.wording import minute
from launch.report.page import Page, change_lines, headline, metric_table, repeat_command
from launch.report.series import facts_line
from launch.spec.control_characters import one_line

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~$]|^[-+#=]")
_NUMBER = re.compile(r"^(\d+)([.)])(?=\s|$)")  # the start of a numbered list
_LINK = re.compile(r"@|#(?=\d)|(?<=:)//|(?<=\bwww)\.", re.IGNORECASE)
MOST_LINES = 20  # changes and remarks
_JOINER = "\u2060"  # invisible: with it, `@name`, `#12` and `https://` notify and link to nothing


def markdown(page: Page) -> str:
    """Return a page as Markdown."""
    lines = [
        f"### {text(page.title)}",
        "",
        f"**{text(headline(page))}**",
        "",
        text(f"{minute(page.main)} UTC · {facts_line(page.main.usable[-1])}"),
        "",
        *_metrics(page),
        *_details("What changed", change_lines(page)),
        *_details("Notes", page.notes),
        "",
        *_fenced(repeat_command(page)),
    ]
    return "\n".join(lines)


def text(value: str) -> str:
    """Return a text that Markdown shows as it is: nothing in it formats, links, mentions or ends a cell."""
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", one_line(value)).replace("&", "&amp;")
    escaped = _NUMBER.sub(r"\1\\\2", escaped)
    return _LINK.sub(lambda found: f"{found[0]}{_JOINER}", escaped)


def _metrics(page: Page) -> list[str]:
    headers, rows = metric_table(page)
    return [
        _row(headers),
        _row(["---"] * len(headers)),
        *(_row([text(cell) for cell in row]) for row in rows),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _details(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    shown = [f"- {text(line)}" for line in (*lines[:MOST_LINES], *more)]
    return ["", f"<details><summary>{title}</summary>", "", *shown, "", "</details>"]


def _fenced(command: str) -> list[str]:
    """Return a block of code whose fence is longer than any run of backticks in it."""
    runs = [len(run) for run in re.findall(r"`+", command)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    return [f"{fence}sh", command, fence]
