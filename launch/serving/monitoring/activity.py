"""What an engine did between two samples. Names: vllm/v1/metrics/loggers.py of vLLM 0.11 to 0.32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from launch.serving.monitoring.page import Buckets, Sample
from launch.spec.metric_names import RUNNING, TOKENS, WAITING

PROMPT = "vllm:prompt_tokens_total"
PREEMPTIONS = "vllm:num_preemptions_total"
QUERIES, HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"
TTFT = "vllm:time_to_first_token_seconds"
# The first name that a page has counts: older versions have the second.
KV_CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
ITL = ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")


@dataclass(frozen=True)
class Activity:
    """One engine. Rates are per second, times in seconds, shares from 0 to 1; None: the page does not tell.

    Percentiles and the prefix hits are those of the requests between the samples: None without such requests.
    """

    engine: str
    running: int
    waiting: int
    prompt_rate: float
    generation_rate: float
    preemptions: int
    kv_cache: float | None = None
    prefix_hits: float | None = None
    ttft_p50: float | None = None
    ttft_p95: float | None = None
    itl_p50: float | None = None
    itl_p95: float | None = None


def activities(
    before: Mapping[str, Sample], after: Mapping[str, Sample], seconds: float
) -> tuple[Activity, ...]:
    """Return what each engine of the later page did. An engine that is new counts from 0."""
    return tuple(_activity(name, before.get(name, Sample()), now, seconds) for name, now in after.items())


def _activity(engine: str, before: Sample, after: Sample, seconds: float) -> Activity:
    def change(name: str) -> float:
        return _increase(before.values.get(name, 0.0), after.values.get(name, 0.0))

    queries = change(QUERIES)
    ttft, itl = _new(TTFT, before, after), _new(_first(ITL, after.histograms), before, after)
    return Activity(
        engine,
        running=int(after.values.get(RUNNING, 0)),
        waiting=int(after.values.get(WAITING, 0)),
        prompt_rate=change(PROMPT) / seconds,
        generation_rate=change(TOKENS) / seconds,
        preemptions=int(change(PREEMPTIONS)),
        kv_cache=after.values.get(_first(KV_CACHE, after.values)),
        prefix_hits=change(HITS) / queries if queries else None,
        ttft_p50=quantile(ttft, 0.50),
        ttft_p95=quantile(ttft, 0.95),
        itl_p50=quantile(itl, 0.50),
        itl_p95=quantile(itl, 0.95),
    )


def _increase(before: float, after: float) -> float:
    """Return how much a counter grew; one that became smaller was reset, and counts from 0."""
    return after - before if after >= before else after


def _first(names: tuple[str, ...], known: Mapping[str, object]) -> str:
    return next((name for name in names if name in known), names[0])


def _new(name: str, before: Sample, after: Sample) -> Buckets:
    """Return the observations of a histogram between two samples."""
    old, new = before.histograms.get(name, {}), after.histograms.get(name, {})
    reset = any(new.get(bound, 0.0) < count for bound, count in old.items())
    return new if reset else {bound: count - old.get(bound, 0.0) for bound, count in new.items()}


def quantile(buckets: Buckets, share: float) -> float | None:
    """Return a quantile as Prometheus does: linear within its bucket. None without observations.

    Above the highest bound, it is that bound.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= share * total:
            inside = buckets[bound] - below
            return lower if bound == inf else lower + (bound - lower) * _part(share * total - below, inside)
        lower, below = bound, buckets[bound]
    return lower


def _part(wanted: float, inside: float) -> float:
    return wanted / inside if inside else 1.0
