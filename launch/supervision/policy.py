"""Decide from observations of a server whether to restart it. Pure: observations in, decisions out.

A restart policy of the engine is not enough: vLLM ends with status 0 when its engine core dies, answers 503 while the
API server still runs, and can hang without an exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from launch.serving.metrics import ProgressReading

# ok: /health answers 200. dead: it answers an error. silent: it does not answer in time.
Health = Literal["ok", "dead", "silent"]
# gone: the container was removed. unknown: the container engine does not answer.
State = Literal["running", "exited", "paused", "gone", "unknown"]
Action = Literal["wait", "probe", "follow", "restart", "give up", "end"]


@dataclass(frozen=True)
class Policy:
    """When to restart, in seconds, and when to give up.

    `hang_after` allows a long prefill without a finished step; `dead_after` and `silent_after` allow a busy host.
    """

    hang_after: float = 300
    dead_after: float = 10
    silent_after: float = 60
    stable_after: float = 120  # serving this long forgets earlier restarts
    max_restarts: int = 5
    first_delay: float = 1
    longest_delay: float = 300

    @property
    def probe_after(self) -> float:
        """Seconds without a step, and without a request that is known to run, before a test request is sent.

        An engine that hangs reports nothing, not even requests that came since. The test request has as long again.
        """
        return self.hang_after / 2

    def delay(self, restarts: int) -> float:
        """Return the seconds to wait before the next restart, after that many restarts in a row."""
        return min(self.first_delay * 2.0 ** min(restarts, 30), self.longest_delay)


@dataclass(frozen=True)
class Observation:
    """A server at one time.

    `engines` is the progress of each engine; None if /metrics did not answer. `answered` tells whether a test request
    was answered; None if none was sent.
    """

    at: float
    state: State
    health: Health = "silent"
    engines: Mapping[str, ProgressReading] | None = None
    answered: bool | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    started: str = ""  # when the container was started, as the engine writes it


@dataclass(frozen=True)
class Progress:
    """One engine: the time of its newest step, and since when requests run without another; None: none runs."""

    steps: int
    stepped_at: float
    requests: int = 0
    waiting_since: float | None = None

    def then(self, now: ProgressReading, at: float) -> Progress:
        """Return the progress after a later reading."""
        if now.steps != self.steps:
            return first_progress(now, at)
        since = self.waiting_since if self.waiting_since is not None else at
        return replace(self, requests=now.running, waiting_since=since if now.running else None)


def first_progress(now: ProgressReading, at: float) -> Progress:
    """Return the progress that the first reading of an engine, or one after a new step, shows."""
    return Progress(now.steps, at, now.running, at if now.running else None)


@dataclass(frozen=True)
class History:
    """What earlier observations showed: since when the server serves, is unhealthy, or makes no progress."""

    serving_since: float
    restarts: int = 0  # in a row
    unhealthy_since: float | None = None
    engines: Mapping[str, Progress] = field(default_factory=dict)
    started: str = ""  # the start that this history is about

    def restarted(self, at: float, started: str) -> History:
        """Return the history after one more restart, which ended at `at`."""
        return History(at, self.restarts + 1, started=started)

    def followed(self, at: float, started: str) -> History:
        """Return the history after a start that was waited for until `at`."""
        return History(at, self.restarts, started=started)


def begin(at: float, seen: Observation) -> History:
    """Return the history of a supervision that begins with an observation at `at`.

    A server that answers, also with an error, is judged at once; one that does not may be loading, and is followed.
    """
    return History(at, started="" if seen.health == "silent" else seen.started)


@dataclass(frozen=True)
class Decision:
    """What to do now, and why."""

    action: Action
    reason: str = ""


WAIT, PROBE = Decision("wait"), Decision("probe")


def decide(policy: Policy, history: History, seen: Observation) -> tuple[Decision, History]:
    """Return what to do after an observation, and the history with it."""
    if seen.state == "gone":
        return Decision("end", "its container was removed"), history
    if seen.state in ("paused", "unknown"):  # the user's will, or nothing to act on: clocks start again
        return WAIT, replace(history, unhealthy_since=None, engines={})
    if seen.state == "running" and seen.started != history.started:
        return Decision("follow", "it was started"), history
    history = _watched(policy, history, seen)
    reason = _exit_reason(seen) if seen.state == "exited" else _fault(policy, history, seen)
    if not reason:
        return PROBE if _needs_probe(policy, history, seen) else WAIT, history
    if history.restarts >= policy.max_restarts:
        return Decision("give up", f"{reason}, after {history.restarts} restarts in a row"), history
    return Decision("restart", reason), history


def _watched(policy: Policy, history: History, seen: Observation) -> History:
    """Return the history with the clocks of this observation."""
    if seen.health != "ok":
        since = history.unhealthy_since if history.unhealthy_since is not None else seen.at
        return replace(history, unhealthy_since=since)
    stable = seen.at - history.serving_since >= policy.stable_after
    history = replace(history, unhealthy_since=None, restarts=0 if stable else history.restarts)
    if seen.engines is None:
        return history
    known = {} if seen.answered else history.engines  # an answer starts the clocks again
    engines = {
        name: known[name].then(now, seen.at) if name in known else first_progress(now, seen.at)
        for name, now in seen.engines.items()
    }
    return replace(history, engines=engines)


def _exit_reason(seen: Observation) -> str:
    if seen.oom_killed:
        return "it ran out of memory and was killed"
    return f"it exited with {seen.exit_code}"


def _fault(policy: Policy, history: History, seen: Observation) -> str:
    """Return what is wrong with a running server; "" if nothing is, or not for long enough."""
    if history.unhealthy_since is not None:
        seconds = seen.at - history.unhealthy_since
        if seen.health == "dead" and seconds >= policy.dead_after:
            return f"/health reported an error for {seconds:.0f} s"
        if seconds >= policy.silent_after:
            return f"/health did not answer for {seconds:.0f} s"
        return ""
    if seen.answered is False:
        return f"a test request got no answer for {policy.probe_after:.0f} s"
    for engine in history.engines.values():
        seconds = seen.at - (engine.waiting_since if engine.waiting_since is not None else seen.at)
        if seconds >= policy.hang_after:
            return f"{engine.requests} requests made no progress for {seconds:.0f} s"
    return ""


def _needs_probe(policy: Policy, history: History, seen: Observation) -> bool:
    """Whether only a test request can tell an idle server from one that hangs."""
    engines = history.engines.values()
    if seen.health != "ok" or not engines or any(engine.requests for engine in engines):
        return False
    return seen.at - max(engine.stepped_at for engine in engines) >= policy.probe_after
