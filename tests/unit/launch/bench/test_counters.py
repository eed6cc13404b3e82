"""Differences of a server's counters, over all its engines."""

from __future__ import annotations

from collections.abc import Iterator

from launch.bench.counters import between, settled
from launch.serving.metrics import sums_of

PAGE = """
# HELP vllm:generation_tokens_total x
vllm:generation_tokens_total{{engine="0"}} {a}.0
vllm:generation_tokens_total{{engine="1"}} {b}.0
vllm:generation_tokens_created{{engine="0"}} 1.79e+09
vllm:time_to_first_token_seconds_sum{{engine="0"}} {a}.5
vllm:time_to_first_token_seconds_count{{engine="0"}} {b}.0
vllm:num_requests_running{{engine="0"}} 1.0
vllm:num_requests_running{{engine="1"}} 2.0
"""
NAMES = (
    "vllm:generation_tokens_total", "vllm:time_to_first_token_seconds_sum",
    "vllm:time_to_first_token_seconds_count", "vllm:num_requests_running",
)  # fmt: skip


def test_between_adds_up_engines_and_leaves_unknown_counters_empty() -> None:
    first, second = (sums_of(PAGE.format(a=a, b=b), NAMES) for a, b in ((10, 1), (30, 5)))
    metrics = between(first, second)
    assert metrics.generation_tokens == 24
    assert metrics.ttft_mean_s == 20 / 4
    assert metrics.running_before == 3
    assert (metrics.prefix_hits, metrics.waiting_before, metrics.e2e_mean_s) == (None, None, None)


def test_between_of_a_server_that_does_not_answer_knows_nothing() -> None:
    assert between({}, {}) == between({"vllm:generation_tokens_total": 5}, {})


def readings(*values: float) -> Iterator[dict[str, float]]:
    yield from ({"vllm:generation_tokens_total": value} for value in values)


def test_settled_waits_until_the_counters_stay_as_they_are() -> None:
    pages = readings(1, 2, 3, 3, 4)
    assert settled(lambda: next(pages), pause=0) == {"vllm:generation_tokens_total": 3}


def test_settled_does_not_wait_for_a_server_that_does_not_answer() -> None:
    assert settled(dict, seconds=60) == {}


def test_settled_returns_the_last_reading_of_a_server_that_stays_busy() -> None:
    busy = {"vllm:num_requests_running": 1.0}
    assert settled(lambda: busy, seconds=0.01, pause=0) == busy
