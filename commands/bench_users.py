"""Measure a preset with several numbers of users: a search within an SLO, or the points of a sweep."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from commands.output import emit, say, show, table
from errors import Failed
from launch.plural import count

if TYPE_CHECKING:
    from launch.bench.record import Record
    from launch.bench.run import Workload
    from launch.bench.search import Answer
    from launch.bench.users import UsersPoint
    from launch.bench.users_options import UsersOptions

HEADERS = ("USERS", "TOK/S", "PER GPU", "TTFT", "TPOT", "WITHIN SLO", "VALIDITY", "RUN")
Run = Callable[["Workload"], tuple["Record", bytes]]


@dataclass
class UsersBench:
    """The points of one command. `run` measures a workload and returns its record and the values of its requests."""

    workload: Workload
    options: UsersOptions
    run: Run
    points: list[UsersPoint] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def report(self, format: str) -> None:
        """Measure, and print the points and the answer, also those before a failure. Raises Failed."""
        answer: Answer | None = None
        try:
            answer = self._measured()
        finally:
            self._print(answer, format)
        if answer and answer.best is None:
            raise Failed(str(answer), fix="--slo with other limits")

    def _measured(self) -> Answer | None:
        from launch.bench.search import search

        if self.options.sweep is None:
            return search(self._point, self._in_budget)
        for users in self.options.sweep:
            if self.points and not self._in_budget(self.points[-1].seconds):
                raise Failed(f"the budget ended before {count(users, 'user')}", fix="--budget with more time")
            self._point(users)
        return None

    def _in_budget(self, seconds: float) -> bool:
        return time.monotonic() - self.started + seconds <= self.options.seconds()

    def _point(self, users: int) -> UsersPoint:
        """Measure one point. Raises Failed if its run cannot be used."""
        from launch.bench.users import for_users

        begun = time.monotonic()
        record, requests = self.run(for_users(self.workload, users))
        point = point_of(record, requests, users, self.options, time.monotonic() - begun)
        self.points.append(point)
        say(f"{count(users, 'user')}: {point.rate:.0f} tok/s, {point.times}")
        return point

    def _print(self, answer: Answer | None, format: str) -> None:
        if format == "json":
            slo = asdict(self.options.slo) if self.options.slo else None
            emit({"slo": slo, "points": [asdict(one) for one in self.points], "answer": _answer_json(answer)})
            return
        if self.points:
            slo_given = self.options.slo is not None
            show(table(HEADERS, [_row(one, slo_given) for one in sorted(self.points, key=lambda p: p.users)]))
        if answer and answer.best:
            show(f"\n{answer}\nSLO: {self.options.slo}")


def point_of(
    record: Record, requests: bytes, users: int, options: UsersOptions, seconds: float
) -> UsersPoint:
    """Return the point of a run. Raises Failed for a void run, one without details, and one without tokens."""
    from launch.bench.compare_runs import measured
    from launch.bench.history import Side
    from launch.bench.metrics import MAIN, metric
    from launch.bench.result import read_sidecar
    from launch.bench.users import UsersPoint, experienced

    rate, details = measured(record, metric(MAIN)), read_sidecar(requests)
    if not Side(record.group, (record,)).usable or not rate or not details:
        why = "; ".join(one.sentence for one in record.validity.remarks if one.outcome == "void")
        raise Failed(
            f"the run with {count(users, 'user')} cannot be used",
            why=why or "vLLM saved no values of each request",
            fix="invoke logs" if record.status != "complete" else f"invoke report {record.group}",
        )
    kept, ttft, tpot = experienced(details, options.slo)
    percent = options.slo.percent if options.slo else 95.0
    gpus = record.host.count if record.host.count and record.host.hardware != record.host.cpu else 1
    return UsersPoint(
        users, len(details), rate, rate / gpus, kept, percent, ttft, tpot, seconds,
        record.id, record.validity.outcome, kept >= percent / 100 if options.slo else True,
    )  # fmt: skip


def _row(point: UsersPoint, slo: bool) -> tuple[str, ...]:
    kept = f"{100 * point.kept:.0f}%{'' if point.meets else ' (missed)'}" if slo else ""
    p = f"p{point.percent:g}"
    per_gpu = f"{point.per_gpu:.0f}" if point.per_gpu != point.rate else ""
    times = (f"{p} {point.ttft_ms:.4g} ms", f"{p} {point.tpot_ms:.4g} ms")
    return (str(point.users), f"{point.rate:.0f}", per_gpu, *times, kept, point.validity, point.run)


def _answer_json(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    best, miss = answer.best, answer.first_miss
    return {
        "users": best.users if best else 0,
        "first_miss": miss.users if miss else None,
        "end": answer.end.name.lower(),
        "text": str(answer),
    }
