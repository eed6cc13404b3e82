"""Turn a chart into SVG inside a page: styles become classes and colours CSS variables, so that a strict CSP holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from launch.report.charts import Chart, drawn
from launch.report.colours import LIGHT
from launch.report.markup import Markup, escape
from launch.report.page import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TAG = re.compile(r"<[^>]+>")  # matplotlib escapes `>` in attributes and texts
_STYLE = re.compile(r'(?<=\s)style="([^"]*)"')
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_FONT = re.compile(r"font-family:[^;]*;?")
_HEAD = re.compile(r"^.*?<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_BREAK = re.compile(r">\s+<")
_DECIMALS = re.compile(r"(?<=\.\d\d)\d+")


@dataclass(frozen=True)
class Drawings:
    """Charts as SVG, and the rules of the classes that they use."""

    charts: tuple[tuple[Chart, Markup], ...]
    css: str


def draw(charts: Iterable[Chart], page: Page) -> Drawings:
    """Draw the charts. Raises Failed without matplotlib."""
    classes: dict[str, str] = {}
    found = []
    for chart in charts:
        with drawn(chart, page) as figure:
            found.append((chart, _embedded(_text(figure), chart, classes)))
    return Drawings(tuple(found), "".join(f".{name}{{{rule}}}" for rule, name in classes.items()))


def _text(figure: Figure) -> str:
    stream = StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _embedded(text: str, chart: Chart, classes: dict[str, str]) -> Markup:
    """Return the SVG of a chart without what a page must not have twice. Fills `classes`: rule -> name."""
    match = _HEAD.match(text)
    assert match, "matplotlib writes an SVG with a viewBox"
    body = _METADATA.sub("", text[match.end() :])
    # Only inside of tags: a name in a chart may look like an attribute.
    body = _BREAK.sub("><", _TAG.sub(lambda tag: _tag(tag[0], classes), body)).strip()
    label = escape(f"{chart.title}. {chart.caption}")
    return Markup(f'<svg viewBox="{match[1]}" role="img" aria-label="{label}">{body}')


def _tag(text: str, classes: dict[str, str]) -> str:
    """Return a tag with a class instead of a style, without the id of a group, with two decimals at most."""
    plain = _GROUP_ID.sub("<g", text).replace("xlink:href", "href").replace("\n", " ")
    return _DECIMALS.sub("", _STYLE.sub(lambda found: f'class="{_class(found[1], classes)}"', plain))


def _class(style: str, classes: dict[str, str]) -> str:
    """Return the class of a style, a new one if it is new."""
    rule = re.sub(r"\s*([:;])\s*", r"\1", style)
    for role, colour in LIGHT.items():
        rule = rule.replace(colour, f"var(--{role})")
    rule = _FONT.sub("", rule)  # the page has the font
    return classes.setdefault(rule, f"m{len(classes)}")
