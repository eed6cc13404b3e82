"""A service level objective (SLO): how long users may wait for a first token, and for each token after it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from errors import Refused

if TYPE_CHECKING:
    from launch.bench.result import Request

_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s)", re.ASCII)
_MS = {"ms": 1.0, "s": 1000.0}
_EXAMPLE = "--slo ttft=2s,tpot=50ms"
PERCENT = 95.0


@dataclass(frozen=True)
class Slo:
    """Limits in milliseconds, None for no limit. `percent` of the requests must keep all of them."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    percent: float = PERCENT

    def __str__(self) -> str:
        limits = (("TTFT", self.ttft_ms), ("TPOT", self.tpot_ms))
        kept = " and ".join(f"{name} at most {limit:g} ms" for name, limit in limits if limit is not None)
        return f"{kept} for {self.percent:g} % of the requests"

    def keeps(self, request: Request) -> bool:
        """Return whether one request was answered within all limits."""
        if request.error:
            return False
        ttft_kept = self.ttft_ms is None or 1000 * request.ttft <= self.ttft_ms
        return ttft_kept and (self.tpot_ms is None or request.tpot_ms <= self.tpot_ms)


def parse_slo(text: str) -> Slo:
    """Parse `ttft=2s,tpot=50ms,p=95`. Raises Refused."""
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in ("ttft", "tpot", "p"):
            raise _refused(text, f"'{name}' is not one of ttft, tpot, p")
        if name in values:
            raise _refused(text, f"'{name}' is given twice")
        values[name] = _percent(text, value) if name == "p" else _milliseconds(text, name, value)
    if not values.keys() - {"p"}:
        raise _refused(text, "neither ttft nor tpot has a limit")
    return Slo(values.get("ttft"), values.get("tpot"), values.get("p", PERCENT))


def _milliseconds(text: str, name: str, value: str) -> float:
    match = _TIME.fullmatch(value)
    if not match or not float(match[1]):
        raise _refused(text, f"'{name}' must be a time such as 2s or 50ms (got '{value}')")
    return float(match[1]) * _MS[match[2]]


def _percent(text: str, value: str) -> float:
    number = float(value) if re.fullmatch(r"\d+(?:\.\d+)?", value, re.ASCII) else 0.0
    if not 0 < number < 100:
        raise _refused(text, f"'p' must be a percentage below 100 (got '{value}')")
    return number


def _refused(text: str, why: str) -> Refused:
    return Refused(f"--slo '{text}' is not valid", why=why, fix=_EXAMPLE)
