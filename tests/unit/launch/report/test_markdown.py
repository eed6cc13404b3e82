"""The Markdown of a page, for a pull request."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from launch.report.markdown import markdown, text
from launch.report.page import headline
from tests.unit.launch.bench.group_data import server
from tests.unit.launch.report.page_data import example, group, page, served


def test_a_comment_has_the_headline_of_the_page_the_metrics_and_the_command() -> None:
    lines = markdown(example()).splitlines()
    assert lines[0] == "### MiniMaxAI/MiniMax-M2, guide-cuda"
    assert lines[2] == f"**{headline(example())}**"
    assert "| Metric | Now | Before | Ratio | 95% interval | Result |" in lines
    assert "- image: sha256:aa -\\> sha256:bb" in lines
    assert lines[-3:] == ["```sh", "invoke bench --preset guide-cuda --repeat 3", "```"]


def test_without_a_comparison_there_is_no_list_of_changes() -> None:
    assert "What changed" not in markdown(page(group("a", [100, 101])))


def test_text_formats_links_and_mentions_nothing() -> None:
    assert text("a|b <c> *d* [e](f) `g`") == "a\\|b \\<c\\> \\*d\\* \\[e\\](f) \\`g\\`"
    assert text("@all #12 https://x") == "@\u2060all #\u206012 https://\u2060x"
    assert text("- x") == "\\- x"
    assert text("1. x\ny") == "1\\. x y"
    assert text("942.8 tok") == "942.8 tok"


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("|<>`@#\n\r\x1b\u2028ab -"), max_size=30))
def test_no_text_of_a_record_ends_its_cell_or_its_line(name: str) -> None:
    sides = [group(f"{x}{name}", [100, 101], i, server=served(model=f"m{name}")) for i, x in enumerate("ab")]
    made = markdown(page(*sides))
    plain = markdown(page(*(group(x, [100, 101], i, server=server(model="m")) for i, x in enumerate("ab"))))
    assert made.count("\n") <= plain.count("\n") + 4  # the layout is one line of "What changed"
    assert not re.search(r"(?<!\\)<(?!/?details|/?summary)", made.split("```")[0])


def test_a_command_with_backticks_stays_in_its_block() -> None:
    made = markdown(page(group("a", [100], preset="x```y")))
    assert made.endswith("\n````sh\ninvoke bench --preset 'x```y' --repeat 1\n````")
