"""Parse a /metrics page into one sample for each engine."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

_LINE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: -?\d+)?$", re.ASCII)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.ASCII)
_BUCKET = "_bucket"

Buckets = Mapping[float, float]  # upper bound -> observations up to it


@dataclass(frozen=True)
class Sample:
    """One engine at one moment: gauges and counters by name, and the buckets of histograms by name."""

    values: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Buckets] = field(default_factory=dict)


def parse(page: str) -> dict[str, Sample]:
    """Return a sample for each engine that the page names; values of several series of one name are added up.

    Lines without an engine (of the HTTP server), comments and lines that cannot be read are left out.
    """
    values: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    buckets: dict[str, dict[str, dict[float, float]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(float))
    )
    for line in page.splitlines():
        match = _LINE.match(line)
        labels = dict(_LABEL.findall(match["labels"] or "")) if match else {}
        if not match or "engine" not in labels or (value := _number(match["value"])) is None:
            continue
        engine, name = labels["engine"], match["name"]
        if name.endswith(_BUCKET):
            bound = _number(labels.get("le", ""), infinite=True)
            if bound is not None:
                buckets[engine][name.removesuffix(_BUCKET)][bound] += value
        else:
            values[engine][name] += value
    engines = sorted({*values, *buckets}, key=lambda name: (len(name), name))
    return {one: Sample(dict(values[one]), {k: dict(v) for k, v in buckets[one].items()}) for one in engines}


def _number(text: str, infinite: bool = False) -> float | None:
    """Return a number of the text format; None for NaN and for text, and for infinity unless it is a bound."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) or (infinite and number == inf) else None
