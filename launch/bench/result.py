"""Read what `vllm bench serve --save-result --save-detailed` saved, and check every number that is used.

The keys are those of vllm/benchmarks/serve.py in vLLM 0.11 to 0.32; 0.11 has no `failed`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pydantic import JsonValue

from errors import Failed

_BENCH_AGAIN = "invoke bench"
_LONGEST_ERROR = 200  # characters
# The lists with one value for each request -> the type of the value. Texts are left out.
LISTS: dict[str, Callable[[Any], Any]] = {
    "input_lens": int,
    "output_lens": int,
    "ttfts": float,
    "itls": lambda values: [float(value) for value in values],
    "latencies": float,
    "start_times": float,
    "queue_times": float,
    "errors": lambda text: last_line(str(text or "")),
}
_TEXTS = ("generated_texts",)


class UnusableResult(Failed):
    """The result has no usable figures."""


@dataclass(frozen=True)
class Request:
    """One request of a run; times in seconds. `error` is "" if it was answered."""

    input_len: int
    output_len: int
    ttft: float
    itl: tuple[float, ...]
    latency: float
    start: float
    queue: float
    error: str = ""

    @property
    def tpot_ms(self) -> float:
        """The mean time of a token after the first, 0 for an answer of one token."""
        after_first = self.output_len - 1
        return 1000 * (self.latency - self.ttft) / after_first if after_first > 0 else 0.0


@dataclass(frozen=True)
class Result:
    """The figures of a run. `values` is vLLM's result without the values of each request."""

    asked: int
    completed: int
    failed: int
    duration: float  # seconds
    input_tokens: int
    output_tokens: int
    values: dict[str, JsonValue]
    requests: tuple[Request, ...] = ()  # empty: vLLM saved no details

    @property
    def answered(self) -> tuple[Request, ...]:
        """The requests without an error."""
        return tuple(request for request in self.requests if not request.error)


def parse(text: str, asked: int) -> Result:
    """Return the result of a run of `asked` requests. Raises UnusableResult, with a reason on one line."""
    data = _object(text)
    duration = _number(data, "duration")
    if duration <= 0:
        raise _unusable(f"its duration is {duration:g} s")
    completed = _count(data, "completed")
    failed = _count(data, "failed") if data.get("failed") is not None else max(0, asked - completed)
    values = {name: value for name, value in data.items() if name not in LISTS and name not in _TEXTS}
    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            raise _unusable(f"its '{name}' is {value}")
    return Result(
        asked=asked,
        completed=completed,
        failed=failed,
        duration=duration,
        input_tokens=_count(data, "total_input_tokens"),
        output_tokens=_count(data, "total_output_tokens"),
        values=values,
        requests=_requests(data),
    )


def sidecar(result: Result) -> bytes:
    """Return the values of each request as compressed JSON: one list for each kind of value, without texts."""
    rows = result.requests
    lists = {
        "input_lens": [row.input_len for row in rows],
        "output_lens": [row.output_len for row in rows],
        "ttfts": [row.ttft for row in rows],
        "itls": [row.itl for row in rows],
        "latencies": [row.latency for row in rows],
        "start_times": [row.start for row in rows],
        "queue_times": [row.queue for row in rows],
        "errors": [row.error for row in rows],
    }
    return gzip.compress(json.dumps(lists).encode(), mtime=0)


def read_sidecar(compressed: bytes) -> tuple[Request, ...]:
    """Return the requests that `sidecar` wrote. Raises UnusableResult if they are damaged."""
    try:
        text = gzip.decompress(compressed).decode() if compressed else "{}"
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unusable(f"the values of each request cannot be read: {error}") from None
    return _requests(_object(text))


def last_line(text: str) -> str:
    """Return the last line of a traceback, cut."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_LONGEST_ERROR] if lines else ""


def _object(text: str) -> dict[str, Any]:
    if not text.strip():
        raise _unusable("it is empty")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(f"it is not JSON: {str(error)[:_LONGEST_ERROR]}") from None
    if not isinstance(data, dict):
        raise _unusable(f"it is not a JSON object: {text.strip()[:60]}")
    return data


def _number(data: dict[str, Any], name: str) -> float:
    if name not in data:
        raise _unusable(f"it has no '{name}'")
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _unusable(f"its '{name}' is {str(value)[:60]}")
    return float(value)


def _count(data: dict[str, Any], name: str) -> int:
    value = _number(data, name)
    if value < 0 or value != int(value):
        raise _unusable(f"its '{name}' is {value:g}")
    return int(value)


def _requests(data: dict[str, Any]) -> tuple[Request, ...]:
    """Return the details of each request; none if vLLM saved none. Raises UnusableResult if they are damaged."""
    if not all(isinstance(data.get(name), list) for name in ("ttfts", "itls", "output_lens", "errors")):
        return ()
    count = len(data["ttfts"])
    try:
        columns = [_column(data.get(name), count, kind) for name, kind in LISTS.items()]
        rows = [Request(i, o, t, tuple(itl), *rest) for i, o, t, itl, *rest in zip(*columns, strict=True)]
    except (TypeError, ValueError, OverflowError) as error:
        raise _unusable(f"its values of each request are damaged: {error}") from None
    if not all(isfinite(number) for row in rows for number in (row.ttft, row.latency, row.queue, *row.itl)):
        raise _unusable("a value of a request is not a finite number")
    return tuple(rows)


def _column(values: Any, count: int, kind: Callable[[Any], Any]) -> list[Any]:
    """Return one value for each request. A list that an older vLLM does not save is filled with zeros."""
    if values is None:
        return [0] * count
    return [kind(value) for value in values]


def _unusable(why: str) -> UnusableResult:
    return UnusableResult("the result of vllm bench serve is not usable", why=why, fix=_BENCH_AGAIN)
