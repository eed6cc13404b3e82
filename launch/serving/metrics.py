"""Measure the load of running servers from their /metrics pages: requests in flight and tokens per second."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite

from errors import Failed
from launch.http.client import request
from launch.spec.metric_names import RUNNING, STEPS, TOKENS

_ENGINE = re.compile(r'[{,]engine="([^"]*)"')
_TIMEOUT = 0.2  # seconds for one page
_MAX_PAGE = 16 << 20  # bytes


@dataclass(frozen=True)
class Load:
    """`tokens_per_s` is None if only one reading succeeded."""

    running: int
    tokens: int
    tokens_per_s: float | None = None


def measure_load(urls: Mapping[str, str], seconds: float = 0.2) -> dict[str, Load]:
    """Return the load of each server that answers, from two readings `seconds` apart, all servers at once."""
    first = {
        name: (page, time.monotonic()) for name, url in urls.items() if (page := read_page(url)) is not None
    }
    time.sleep(seconds if first else 0)
    return {name: _read_again(urls[name], parse_page(page), start) for name, (page, start) in first.items()}


def parse_page(text: str) -> Load:
    """Add up the values of all engines on a Prometheus page. Lines without a number are ignored."""
    sums = _sums(text, (RUNNING, TOKENS))
    return Load(int(sums[RUNNING]), int(sums[TOKENS]))


def _sums(text: str, names: tuple[str, ...]) -> dict[str, float]:
    """Add up each metric over its labels; 0 for a metric that the page does not have."""
    return {**dict.fromkeys(names, 0.0), **sums_of(text, names)}


def sums_of(text: str, names: Collection[str]) -> dict[str, float]:
    """Add up each metric of a Prometheus page over its labels, so over all engines; only metrics that it has."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        name = line.split("{", 1)[0].split(" ", 1)[0]
        if name in names:
            sums[name] = sums.get(name, 0.0) + _number(line.rsplit(" ", 1)[-1])
    return sums


@dataclass(frozen=True)
class ProgressReading:
    """One engine: its requests in flight, and a number that grows with each of its steps."""

    running: int
    steps: int


def parse_progress(text: str) -> dict[str, ProgressReading]:
    """Return the progress of each engine on a Prometheus page, by its number; empty if the page names no engine."""
    running, steps = Counter[str](), Counter[str]()
    for line in text.splitlines():
        name = line.split("{", 1)[0].split(" ", 1)[0]
        if name not in (RUNNING, *STEPS):
            continue
        label = _ENGINE.search(line)
        counted = running if name == RUNNING else steps
        counted[label[1] if label else "0"] += int(_number(line.rsplit(" ", 1)[-1]))
    return {engine: ProgressReading(running[engine], steps[engine]) for engine in sorted({*running, *steps})}


def rate_between(before: Load, page: str | None, seconds: float) -> Load:
    """Return the later of two readings with the token rate between them."""
    if page is None:
        return before
    after = parse_page(page)
    return Load(after.running, after.tokens, (after.tokens - before.tokens) / seconds)


def _read_again(url: str, before: Load, start: float) -> Load:
    page = read_page(url)
    return rate_between(before, page, time.monotonic() - start)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0
    return number if isfinite(number) else 0


def read_page(url: str, timeout: float = _TIMEOUT) -> str | None:
    """Return the /metrics page of a server, or None if it does not answer in time."""
    try:
        response = request("GET", f"{url}/metrics", timeout=timeout, direct=True)
        page = response.read(_MAX_PAGE).decode(errors="replace")
    except Failed:
        return None
    return page if response.status == 200 else None
