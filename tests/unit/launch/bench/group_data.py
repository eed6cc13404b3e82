"""Groups of recorded runs to compare in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launch.bench.history import Side
from launch.bench.record import Host, Load, Record, Remark, Server, Validity
from tests.unit.launch.bench.records_data import record

MODEL = "MiniMaxAI/MiniMax-M2"
VOID = Validity(
    outcome="void",
    remarks=(Remark(rule="fresh-prompts", outcome="void", sentence="94 % of prompts were cached"),),
)


def server(start: str = "c1@1", **changes: Any) -> Server:
    """Return a server of one start, with changes."""
    values: dict[str, Any] = {
        "name": "slipway-minimax-m2",
        "start_id": start,
        "model": MODEL,
        "image_id": "sha256:aa",
    }
    return Server(**{**values, **changes})


def load(**changes: Any) -> Load:
    """Return a load of 400 requests, enough for a P99."""
    values: dict[str, Any] = {"dataset": "random", "input_len": 41, "output_len": 20, "requests": 400}
    return Load(**{**values, **changes})


def runs(group: str, values: Sequence[Any], **changes: Any) -> tuple[Record, ...]:
    """Return the runs of a group; `values` are output throughputs, and all latencies are 1000 / value."""
    fields = {
        "server": server(),
        "load": load(),
        "host": Host(name="here", hardware="h20", count=4),
        **changes,
    }
    return tuple(
        record(**{
            "id": f"{group}-{i}", "group": group, "repeat": i, "repeats": len(values),
            "time": f"2026-11-27T10:00:0{i}Z", "result": result(value), **fields,
        })
        for i, value in enumerate(values, start=1)
    )  # fmt: skip


def result(value: Any) -> dict[str, Any]:
    """Return a result of vLLM with this output throughput."""
    latency = 1000 / value if isinstance(value, int | float) and value else value
    latencies = dict.fromkeys(("mean_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "mean_itl_ms"), latency)
    return {
        "completed": 400,
        "failed": 0,
        "duration": 60.5,
        "total_output_tokens": 8000,
        "output_throughput": value,
        **latencies,
    }


def side(group: str, values: Sequence[Any], **changes: Any) -> Side:
    """Return the runs of a group as one side."""
    return Side(group, runs(group, values, **changes))
