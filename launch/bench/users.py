"""One point of a load curve: how a preset is sent by some users at once, and what they experienced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from launch.bench.presets import PER_SLOT
from launch.bench.result import Request
from launch.bench.run import Workload
from launch.bench.slo import PERCENT, Slo

LEAST_REQUESTS = 20  # of a point: one late request of 20 is the 5 % that an SLO of p=95 accepts
_CONCURRENCY = "--max-concurrency"


@dataclass(frozen=True)
class UsersPoint:
    """What `users` at once experienced. `kept` is the share of requests within the SLO, 1 without one."""

    users: int
    requests: int
    rate: float  # output tokens a second of the server
    per_gpu: float
    kept: float
    percent: float  # of the percentiles
    ttft_ms: float
    tpot_ms: float
    seconds: float
    run: str  # id of the record
    validity: str
    meets: bool

    @property
    def times(self) -> str:
        """The percentiles, for example `TTFT p95 3.1 s, TPOT p95 40 ms`."""
        p = f"p{self.percent:g}"
        return f"TTFT {p} is {_time(self.ttft_ms)}, TPOT {p} is {_time(self.tpot_ms)}"


def for_users(workload: Workload, users: int) -> Workload:
    """Return a workload that is sent by so many users at once, each with PER_SLOT requests or more."""
    preset, argv = workload.preset, list(workload.argv)
    option = preset.concurrency or _CONCURRENCY
    if option in argv:
        argv[argv.index(option) + 1] = str(users)
    else:
        argv += [option, str(users)]
    groups = int(argv[argv.index(preset.groups) + 1]) if preset.groups else 1
    requests = max(PER_SLOT * users, LEAST_REQUESTS)
    argv[argv.index(preset.requests) + 1] = str(ceil(requests / groups) * groups)
    return replace(workload, argv=tuple(argv))


def experienced(requests: Sequence[Request], slo: Slo | None) -> tuple[float, float, float]:
    """Return the share of requests within all limits, and the percentiles of TTFT and TPOT in ms.

    A request that failed is not within the limits.
    """
    answered = [request for request in requests if not request.error]
    kept = sum(slo.keeps(request) for request in requests) / len(requests) if slo and requests else 1.0
    percent = slo.percent if slo else PERCENT
    ttfts, tpots = [1000 * one.ttft for one in answered], [one.tpot_ms for one in answered]
    return kept, percentile(ttfts, percent), percentile(tpots, percent)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` % of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(round(len(ordered) * percent / 100, 9)) - 1)] if ordered else 0.0


def _time(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3g} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"
