"""Read the server's own counters before and after a run. Names: vllm/v1/metrics/loggers.py of vLLM 0.11 to 0.32."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from launch.bench.record import Metrics
from launch.serving.metrics import read_page, sums_of
from launch.spec.metric_names import RUNNING, STEPS, TOKENS, WAITING

_COUNTERS = {
    "generation_tokens": TOKENS,
    "prompt_tokens": "vllm:prompt_tokens_total",
    "prefix_queries": "vllm:prefix_cache_queries_total",
    "prefix_hits": "vllm:prefix_cache_hits_total",
    "preemptions": "vllm:num_preemptions_total",
}
_MEANS = {"ttft_mean_s": "vllm:time_to_first_token_seconds", "e2e_mean_s": "vllm:e2e_request_latency_seconds"}
_NAMES = frozenset(
    (
        *_COUNTERS.values(),
        *(f"{name}_{part}" for name in _MEANS.values() for part in ("sum", "count")),
        *(RUNNING, WAITING),
    )
)
_PAGE_TIMEOUT = 5.0  # seconds
SETTLE = 3.0  # seconds in which the counters of a server may lag behind its answers
_PAUSE = 0.2

Counters = Mapping[str, float]  # by the name of the metric, summed over engines; empty: no page


def read(url: str) -> Counters:
    """Return the counters of a server; an empty mapping if it does not answer."""
    page = read_page(url, _PAGE_TIMEOUT)
    return {} if page is None else sums_of(page, _NAMES)


def steps(url: str) -> int | None:
    """Return a number that grows with each step of the engines; None if the server does not answer.

    A server without these counters is taken to make steps.
    """
    page = read_page(url, _PAGE_TIMEOUT)
    if page is None:
        return None
    sums = sums_of(page, STEPS)
    return int(sum(sums.values())) if sums else int(time.monotonic())


def settled(read_once: Callable[[], Counters], seconds: float = SETTLE, pause: float = _PAUSE) -> Counters:
    """Return the counters once the server is idle and they stay as they are, or after some seconds."""
    deadline = time.monotonic() + seconds
    before = read_once()
    while before and time.monotonic() < deadline:
        time.sleep(pause)
        after = read_once()
        if after == before and not _in_flight(after):
            return after
        before = after
    return before


def _in_flight(counters: Counters) -> float:
    return counters.get(RUNNING, 0) + counters.get(WAITING, 0)


def between(before: Counters, after: Counters) -> Metrics:
    """Return what changed between two readings. A counter that a reading lacks is None."""
    changes = {field: _change(before, after, name) for field, name in _COUNTERS.items()}
    means = {field: _mean(before, after, name) for field, name in _MEANS.items()}
    gauges = {"running_before": before.get(RUNNING), "waiting_before": before.get(WAITING)}
    counts = {field: None if value is None else round(value) for field, value in (changes | gauges).items()}
    return Metrics.model_validate(counts | means)


def _change(before: Counters, after: Counters, name: str) -> float | None:
    return after[name] - before[name] if name in before and name in after else None


def _mean(before: Counters, after: Counters, name: str) -> float | None:
    total, count = _change(before, after, f"{name}_sum"), _change(before, after, f"{name}_count")
    return total / count if total is not None and count else None
