"""Which values of a benchmark's result are compared, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from errors import choice
from launch.checked_data.data_file import load

TABLE = Path(__file__).with_name("metrics.yaml")
MAIN = "output_throughput"


@dataclass(frozen=True)
class Metric:
    """One value of a result. `least` is the number of values that it needs, one of each request or token."""

    key: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    why: str
    least: int = 1
    each: Literal["request", "token"] = "request"

    @property
    def higher_is_better(self) -> bool:
        """Whether an increase is an improvement."""
        return self.better == "higher"


@cache
def load_metrics() -> tuple[Metric, ...]:
    """Read the metrics in the order in which they are shown."""
    return load(TABLE, tuple[Metric, ...])


def metric(key: str) -> Metric:
    """Return a metric by its key. Raises Refused for an unknown one."""
    by_key = {one.key: one for one in load_metrics()}
    if key not in by_key:
        raise choice("metric", key, tuple(by_key))
    return by_key[key]
