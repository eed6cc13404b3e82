"""What an engine did between two samples: rates, percentiles of new requests, counters that start again."""

from __future__ import annotations

from dataclasses import asdict
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.serving.monitoring.activity import (
    HITS,
    ITL,
    KV_CACHE,
    PREEMPTIONS,
    PROMPT,
    QUERIES,
    TTFT,
    Activity,
    activities,
    quantile,
)
from launch.serving.monitoring.page import Sample
from launch.spec.metric_names import RUNNING, TOKENS, WAITING

BEFORE = Sample(
    {TOKENS: 1000, PROMPT: 5000, PREEMPTIONS: 1, QUERIES: 400, HITS: 100},
    {TTFT: {0.1: 10, 0.5: 10, inf: 10}, ITL[0]: {0.01: 900, 0.05: 990, inf: 990}},
)
AFTER = Sample(
    {
        RUNNING: 3, WAITING: 1, TOKENS: 1400, PROMPT: 7000, PREEMPTIONS: 2, QUERIES: 600, HITS: 250,
        KV_CACHE[0]: 0.25,
    },
    {TTFT: {0.1: 12, 0.5: 20, inf: 20}, ITL[0]: {0.01: 1100, 0.05: 1390, inf: 1390}},
)  # fmt: skip


def measured(before: Sample, after: Sample, seconds: float = 2.0) -> Activity:
    (found,) = activities({"0": before}, {"0": after}, seconds)
    return found


def test_rates_and_percentiles_are_those_between_the_samples() -> None:
    expected = {
        "engine": "0", "running": 3, "waiting": 1, "prompt_rate": 1000, "generation_rate": 200,
        "preemptions": 1, "kv_cache": 0.25, "prefix_hits": 0.75,
        "ttft_p50": 0.25, "ttft_p95": 0.475, "itl_p50": 0.01, "itl_p95": 0.046,
    }  # fmt: skip
    assert asdict(measured(BEFORE, AFTER)) == pytest.approx(expected)


def test_an_idle_engine_has_no_percentiles() -> None:
    found = measured(AFTER, AFTER)
    assert (found.generation_rate, found.ttft_p50, found.itl_p95, found.prefix_hits) == (0, None, None, None)


def test_counters_of_a_restarted_server_count_from_zero() -> None:
    found = measured(AFTER, Sample({TOKENS: 10}, {TTFT: {0.1: 1, inf: 1}}))
    assert (found.generation_rate, found.preemptions) == (5, 0)
    assert found.ttft_p50 == pytest.approx(0.05)


def test_a_new_engine_counts_from_zero() -> None:
    (found,) = activities({}, {"1": Sample({TOKENS: 10})}, 2)
    assert found.generation_rate == 5


def test_names_of_older_versions_are_read() -> None:
    old = Sample({KV_CACHE[1]: 0.5}, {ITL[1]: {0.01: 4, inf: 4}})
    found = measured(Sample(), old)
    assert found.kv_cache == 0.5
    assert found.itl_p50 == pytest.approx(0.005)


def test_a_quantile_above_all_bounds_is_the_highest_bound() -> None:
    assert quantile({0.1: 1, 0.5: 1, inf: 10}, 0.95) == 0.5


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8), st.floats(0.01, 1))
def test_a_quantile_lies_between_the_bounds_and_grows_with_its_share(counts: list[int], share: float) -> None:
    bounds = [float(number) for number in range(1, len(counts))] + [inf]
    buckets = {bound: float(sum(counts[: place + 1])) for place, bound in enumerate(bounds)}
    found = quantile(buckets, share)
    assert (found is None) is (sum(counts) == 0)
    if found is not None:
        assert 0 <= found <= max(1.0, len(counts) - 1)
        assert found >= (quantile(buckets, share / 2) or 0)
