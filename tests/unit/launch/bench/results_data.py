"""What `vllm bench serve --save-result --save-detailed` saves, to change in tests."""

from __future__ import annotations

from typing import Any


def saved(requests: int = 4, tokens: int = 20, **changes: Any) -> dict[str, Any]:
    """Return the result of a good run, one request after the other, with changes; None removes a key."""
    values = {
        "date": "20261127-100000",
        "num_prompts": requests,
        "duration": requests * 1.0,
        "completed": requests,
        "failed": 0,
        "total_input_tokens": 41 * requests,
        "total_output_tokens": tokens * requests,
        "output_throughput": float(tokens),
        "mean_ttft_ms": 100.0,
        "p99_ttft_ms": 110.0,
        "input_lens": [41] * requests,
        "output_lens": [tokens] * requests,
        "ttfts": [0.1] * requests,
        "itls": [[0.9 / (tokens - 1)] * (tokens - 1)] * requests,
        "latencies": [1.0] * requests,
        "start_times": [float(index) for index in range(requests)],
        "queue_times": [0.0] * requests,
        "generated_texts": ["secret answer"] * requests,
        "errors": [""] * requests,
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}
