"""The figures of a run as text. A percentile from too few values is "-" instead of a number."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from launch.bench.presets import percentile_needs
from launch.bench.record import Record

PERCENTILES = (99,)
_LABELS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2el": "E2E latency"}


@dataclass(frozen=True)
class Figure:
    """One line of a table. `value` is None if there are too few values for it."""

    key: str
    label: str
    value: float | None
    unit: str = ""

    @property
    def text(self) -> str:
        """The value with its unit."""
        if self.value is None:
            return "-"
        number = f"{self.value:.0f}" if not self.unit else f"{self.value:.2f}"
        return f"{number} {self.unit}".rstrip()


def figures(record: Record) -> tuple[Figure, ...]:
    """Return what a run measured, the throughputs first. A run without an answer has only its counts.

    vLLM's peak of concurrent requests is left out: it counts requests in slots of one second, and so exceeds the cap.
    """
    completed = _value(record, "completed") or 0
    counts = [Figure(name, f"{label} requests", _value(record, name)) for name, label in _COUNTS]
    if not completed:
        return tuple(count for count in counts if count.value is not None)
    rates = [Figure(name, label, _value(record, name), unit) for name, label, unit in _RATES]
    times = [figure for kind in _LABELS for figure in _times(record, kind)]
    schedule = record.latency_from_schedule_ms
    late = [
        Figure(f"{name}_from_schedule", f"{name} latency from schedule", schedule[name], "ms")
        for name in schedule
    ]
    return tuple(f for f in (*counts, *rates, *times, *late) if f.value is not None or f.key.startswith("p"))


_COUNTS = (("completed", "successful"), ("failed", "failed"))
_RATES = (
    ("duration", "duration", "s"),
    ("request_throughput", "request throughput", "req/s"),
    ("output_throughput", "output token throughput", "tok/s"),
    ("total_token_throughput", "total token throughput", "tok/s"),
)


def _times(record: Record, kind: str) -> list[Figure]:
    """Return mean, median and percentiles of one time; none if vLLM did not report it."""
    if _value(record, f"mean_{kind}_ms") is None:
        return []
    shown = [
        Figure(f"{name}_{kind}_ms", f"{name} {_LABELS[kind]}", _value(record, f"{name}_{kind}_ms"), "ms")
        for name in ("mean", "median")
    ]
    count = _samples(record, kind)
    for percent in PERCENTILES:
        key = f"p{percent}_{kind}_ms"
        if (value := _value(record, key)) is not None:
            enough = count >= percentile_needs(percent)
            shown.append(Figure(key, f"P{percent} {_LABELS[kind]}", value if enough else None, "ms"))
    return shown


def _samples(record: Record, kind: str) -> float:
    """Return how many values a percentile is taken of: one for each request, or for each token after the first."""
    completed = _value(record, "completed") or 0
    return (_value(record, "total_output_tokens") or 0) - completed if kind == "itl" else completed


def _value(record: Record, key: str) -> float | None:
    value = record.result.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def format_figures(record: Record) -> list[str]:
    """Return the figures, one line each."""
    return [f"{figure.label + ':':<30}{figure.text:>16}" for figure in figures(record)]


def format_validity(record: Record) -> list[str]:
    """Return the outcome of the rules of validity, and one line for each remark."""
    found = record.validity
    return [
        f"{'validity:':<30}{found.outcome:>16}",
        *(f"  {remark.outcome}: {remark.rule}: {remark.sentence}" for remark in found.remarks),
    ]


def format_load(record: Record) -> str:
    """Return what was asked and how tokens were chosen, on one line."""
    load, sampling = record.load, record.sampling
    sent = f"{load.concurrency} at once" if load.concurrency else "all at once"
    if load.request_rate is not None:
        sent = f"{load.request_rate:g} per second"
    lengths = f", {load.input_len} tokens in, {load.output_len} out" if load.input_len else ""
    shared = f" (after {load.prefix_len} shared ones)" if load.prefix_len else ""
    temperature = "the server's default" if sampling.temperature is None else f"{sampling.temperature:g}"
    eos = "ignored" if sampling.ignore_eos else "ends an answer"
    return (
        f"{record.preset}: {load.requests} requests, {sent}{lengths}{shared}; seed {record.seed}, "
        f"temperature {temperature}, end of sequence {eos}"
    )
