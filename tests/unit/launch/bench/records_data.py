"""A record to change in tests."""

from __future__ import annotations

from typing import Any

from launch.bench.record import Load, Record, Server


def record(**changes: Any) -> Record:
    """Return a complete run of four requests, with changes."""
    values: dict[str, Any] = {
        "id": "a1b2c3d4",
        "group": "9f8e7d6c",
        "time": "2026-11-27T10:00:00.123456Z",
        "status": "complete",
        "preset": "guide-cuda",
        "argv": ("vllm", "bench", "serve"),
        "seed": 7,
        "load": Load(dataset="random", input_len=41, output_len=20, requests=4, concurrency=1),
        "server": Server(name="slipway-minimax-m2", start_id="c1@2026", model="MiniMaxAI/MiniMax-M2"),
        "result": {"completed": 4, "failed": 0, "output_throughput": 40.3},
    }
    return Record(**{**values, **changes})
