"""The report of an acceptance test, as data and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from launch.acceptance.types import ItemResult

SCHEMA = 1


def report(
    server: Mapping[str, Any], results: Sequence[ItemResult], quick: bool, date: str
) -> dict[str, Any]:
    """Return the report as JSON data. `server` describes what was tested."""
    counts = Counter(result.outcome for result in results)
    metrics = {key: value for result in results for key, value in result.metrics.items()}
    return {
        "schema": SCHEMA,
        "date": date,
        "slipway": dict(server),
        "acceptance": {
            "outcome": "fail" if counts["fail"] else "pass",
            "quick": quick,
            "passed": counts["pass"],
            "failed": counts["fail"],
            "skipped": counts["skipped"],
            "metrics": metrics,
            "items": [asdict(result) for result in results],
        },
    }
