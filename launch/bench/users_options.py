"""The options of a benchmark that sends a load by several numbers of users."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from errors import Refused
from launch.bench.search import MOST_USERS
from launch.bench.slo import Slo, parse_slo
from launch.spec.option import option

BUDGET = "20m"
MOST_SWEEP = 16  # points of one command
_UNITS = {"s": 1, "m": 60, "h": 3600}
_GROUP = "Users"


def duration(label: str, given: Any) -> str:
    """Return a time such as `20m`. Raises Refused for anything else."""
    match = re.fullmatch(r"(\d{1,6})([smh])", str(given), re.ASCII)
    if not match or not int(match[1]):
        raise Refused(f"{label} must be a time such as 90s, 20m or 2h (got '{given}')", fix=f"{label} 20m")
    return match[0]


def sweep(label: str, given: Any) -> tuple[int, ...]:
    """Return the numbers of users of `concurrency=1,4,16`. Raises Refused for anything else."""
    name, _, values = str(given).partition("=")
    texts = [text.strip() for text in values.split(",")]
    valid = name == "concurrency" and all(text.isascii() and text.isdecimal() for text in texts)
    numbers = tuple(dict.fromkeys(int(text) for text in texts)) if valid else ()
    if not numbers or not all(1 <= number <= MOST_USERS for number in numbers) or len(numbers) > MOST_SWEEP:
        raise Refused(
            f"{label} must be concurrency= and up to {MOST_SWEEP} numbers from 1 to {MOST_USERS} (got '{given}')",
            fix=f"{label} concurrency=1,4,16",
        )
    return numbers


def _slo(label: str, given: Any) -> Slo:
    return parse_slo(str(given))


@dataclass(frozen=True)
class UsersOptions:
    """How many users a server has: a search with an SLO, or the points of a sweep."""

    slo: Slo | None = option(
        None,
        "find how many users at once are served within these limits, e.g. ttft=2s,tpot=50ms,p=95",
        metavar="LIMITS",
        group=_GROUP,
        parse=_slo,
    )
    sweep: tuple[int, ...] | None = option(
        None,
        "measure these numbers of requests at once, e.g. concurrency=1,4,16",
        metavar="NUMBERS",
        group=_GROUP,
        parse=sweep,
    )
    budget: str = option(
        "",
        "time after which no further point or layout is begun (default: 20m, and 2h with --layouts)",
        metavar="TIME",
        group=_GROUP,
        parse=duration,
    )

    def seconds(self, default: str = BUDGET) -> float:
        """Return the budget in seconds."""
        budget = self.budget or default
        return float(int(budget[:-1]) * _UNITS[budget[-1]])

    @property
    def asked(self) -> bool:
        """Whether points are measured instead of one load."""
        return self.slo is not None or self.sweep is not None
