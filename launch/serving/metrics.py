"""What a running server does now, from its /metrics page: requests in flight and tokens a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from math import isfinite
from urllib.parse import urlsplit

RUNNING, TOKENS = "vllm:num_requests_running", "vllm:generation_tokens_total"


@dataclass(frozen=True)
class Load:
    """`tokens_per_s` is None where only one reading was had."""

    running: int
    tokens: int
    tokens_per_s: float | None = None


def read(text: str) -> Load:
    """The sums over all engines of a Prometheus page; a line that holds no number counts for nothing."""
    sums = {RUNNING: 0.0, TOKENS: 0.0}
    for line in text.splitlines():
        name = line.split("{", 1)[0].split(" ", 1)[0]
        if name in sums:
            sums[name] += _number(line.rsplit(" ", 1)[-1])
    return Load(int(sums[RUNNING]), int(sums[TOKENS]))


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        return 0
    return number if isfinite(number) else 0


def watch(urls: Mapping[str, str], seconds: float = 0.2) -> dict[str, Load]:
    """The load of each server that answers, read twice `seconds` apart; all of them in the same time."""
    first = {name: (page, time.monotonic()) for name, url in urls.items() if (page := _page(url)) is not None}
    time.sleep(seconds if first else 0)
    return {name: _again(urls[name], read(page), since) for name, (page, since) in first.items()}


def _again(url: str, before: Load, since: float) -> Load:
    page = _page(url)
    return between(before, page, time.monotonic() - since)


def between(before: Load, page: str | None, seconds: float) -> Load:
    """The later of two readings with the rate between them."""
    if page is None:
        return before
    after = read(page)
    return Load(after.running, after.tokens, (after.tokens - before.tokens) / seconds)


def _page(url: str) -> str | None:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "127.0.0.1", place.port or 80, timeout=0.2)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read().decode(errors="replace") if answer.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
