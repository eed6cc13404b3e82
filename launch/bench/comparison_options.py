"""The options of a comparison with earlier runs, and of a gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from errors import Refused
from launch.bench.metrics import MAIN
from launch.spec.option import option


def percentage(label: str, given: Any) -> str:
    """Return a share such as `5%`. Raises Refused for anything else."""
    text = str(given).strip()
    number = text.removesuffix("%")
    valid = text.endswith("%") and number.isascii() and number.replace(".", "", 1).isdecimal()
    if not valid or not float(number) < 100:
        raise Refused(
            f"{label} must be a percentage from 0% to less than 100% (got '{given}')", fix=f"{label} 5%"
        )
    return text


@dataclass(frozen=True)
class GateOptions:
    """The options of a gate."""

    gate: str = option("", "fail if slower than the runs in this file", metavar="FILE", group="Gate")
    max_regression: str = option(
        "5%", "regression that the gate accepts", metavar="PERCENT", group="Gate", parse=percentage
    )
    metric: tuple[str, ...] = option(
        (), f"metric that the gate compares (default: {MAIN})", metavar="KEY", group="Gate"
    )
    strict: bool = option(False, "also fail if the gate cannot tell", group="Gate")

    @property
    def limit(self) -> float:
        """The accepted regression: 0.05 for 5 %."""
        return float(self.max_regression.removesuffix("%")) / 100

    @property
    def metrics(self) -> tuple[str, ...]:
        """The keys of the metrics that the gate compares."""
        return self.metric or (MAIN,)


@dataclass(frozen=True)
class AgainstOptions:
    """The options of a comparison after a benchmark."""

    against: str = option(
        "",
        "compare with these runs: `last`, or a group, run, server or file",
        metavar="RUNS",
        group="Comparison",
    )
    noise: bool = option(
        False,
        "keep the spread of these runs as the noise of this host, from 4 repeats or more",
        group="Comparison",
    )
