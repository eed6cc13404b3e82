"""The HTML page: complete, the same for the same records, small, and nothing in it but what was escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import Failed
from launch.bench.record import Host, Remark, Validity
from launch.report.charts import charts, picture
from launch.report.colours import DARK, LIGHT
from launch.report.html_page import data, html
from launch.report.markup import element
from launch.report.page import Page, headline
from tests.unit.launch.report.page_data import example, group, many, page, served

SMALL = 200_000  # bytes
# Texts that end an element, an attribute, a style, a line, or a formula.
EVIL = st.text(
    st.one_of(st.sampled_from("<>\"'&\n\r\t\x00\x1b\u2028\u202e$_\\{}`|@#:;=/ "), st.characters()), max_size=40
) | st.sampled_from([
    "<script>alert(1)</script>", '" onload="x', ' style="background:url(http://x)"', "</style><b>", "$\\frac$", "-->",
    "]]>", "</text></svg><img src=x>", "&lt;", 'a style="x" id="y"',
])  # fmt: skip


class Outline(HTMLParser):
    """The tags, the attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_has_every_part() -> None:
    text = html(example())
    assert headline(example()) in text
    titles = re.findall(r"<h2>([^<]*)</h2>", text)
    assert titles == [
        "Throughput and speed", "Waiting times", "History of this load", "Time to ready",
        "Metrics", "What changed", "Notes", "Measure it again", "Groups",
    ]  # fmt: skip
    assert text.count("<svg ") == text.count("</svg>") == 4
    assert "TTFT at most 2000 ms and TPOT at most 5 ms for 95 % of the requests" in text
    assert "invoke bench --preset guide-cuda --repeat 3" in text


def test_a_page_allows_its_own_style_and_nothing_else() -> None:
    text = html(example())
    sheet = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert sheet
    digest = base64.b64encode(hashlib.sha256(sheet[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text
    names = {name for name, _ in Outline(text).attributes}
    assert not names & {"style", "src", "onclick", "onload", "srcset", "action"}
    assert text.count("<style") == 1
    assert "url(" not in sheet[1]
    assert {value[0] for name, value in Outline(text).attributes if name == "href"} == {"#"}


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    found = Outline(html(example())).attributes
    ids = [value for name, value in found if name == "id"]
    assert len(ids) == len(set(ids)) > 4
    wanted = {v.removeprefix("#") for n, v in found if n == "href"} | {
        v.removeprefix("url(#").removesuffix(")") for n, v in found if n == "clip-path"
    }
    assert wanted <= set(ids)


def test_the_same_records_give_the_same_bytes() -> None:
    assert html(example()) == html(example())
    assert picture(example(), "title") == picture(example(), "title")
    assert picture(example(), "title").startswith(b"\x89PNG")


def test_a_page_of_200_runs_is_small() -> None:
    text = html(many(200))
    assert len(text.encode()) < SMALL
    assert text.count("g00000000") > 200


def test_the_data_of_a_page_is_json_with_a_row_for_each_run() -> None:
    rows = json.loads(data(example()))
    assert [row["group"] for row in rows[-3:]] == ["new"] * 3
    assert rows[-1]["result"]["output_throughput"] == 332


def test_every_colour_of_a_chart_is_a_variable_with_a_dark_value() -> None:
    sheet = re.search(r"<style>(.*?)</style>", html(example()), re.DOTALL)
    assert sheet
    classes = sheet[1][sheet[1].index(".m0{") :]
    assert not re.findall(r"#[0-9a-f]{3,8}", classes)
    assert DARK.keys() == LIGHT.keys()


def test_a_chart_without_values_is_left_out() -> None:
    bare = group("a", [100], server=served().model_copy(update={"start_seconds": {}}))
    assert [chart.name for chart in charts(page(bare))] == ["pareto", "latency", "history"]


def test_without_matplotlib_a_page_ends_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(Failed, match="matplotlib is not installed") as end:
        html(example())
    assert end.value.fix.startswith("pip install matplotlib")


def evil_page(text: str) -> Page:
    remark = Remark(rule="x", outcome="remarks", sentence=f"x{text}")
    made = served(
        name=f"s{text}", model=f"m{text}", vllm=f"v{text}", strategy=text, argv=(f"a{text}",),
        start_seconds={f"p{text}": 1.5}, layout={},
    )  # fmt: skip
    validity = Validity(outcome="remarks", remarks=(remark,))
    old, new = (
        group(f"{name}{text}", [100, 101], i, server=made, host=Host(name=text, hardware=f"h{text}"),
              preset=f"p{text}", validity=validity)
        for i, name in enumerate("ab")
    )  # fmt: skip
    return page(old, new)


@cache
def plain() -> Outline:
    return Outline(html(evil_page("")))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVIL)
def test_no_text_of_a_record_becomes_markup(text: str) -> None:
    found = Outline(html(evil_page(text)))
    allowed = {*plain().tags, "ul", "li", "details"}
    assert set(found.tags) <= allowed
    assert found.tags.count("style") == 1
    assert {name for name, _ in found.attributes} <= {name for name, _ in plain().attributes}
    assert not re.search("[\x00-\x09\x0b-\x1f\u2028\u202e]", found.text)


def test_text_is_escaped_in_elements_and_attributes() -> None:
    assert element("p", '<b>"', title='">') == '<p title="&quot;&gt;">&lt;b&gt;"</p>'
