"""Decide from observations of a server whether to restart it. Pure: observations in, decisions out.

A restart policy of the engine is not enough: vLLM ends with status 0 when its engine core dies, answers 503 while the
API server still runs, and can hang without an exit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

# ok: /health answers 200. dead: it answers an error. silent: it does not answer in time.
Health = Literal["ok", "dead", "silent"]
# gone: the container was removed. unknown: the container engine does not answer.
State = Literal["running", "exited", "paused", "gone", "unknown"]
Action = Literal["wait", "follow", "restart", "give up", "end"]


@dataclass(frozen=True)
class Policy:
    """When to restart, in seconds, and when to give up.

    `hang_after` allows a long prefill without a finished step; `dead_after` and `silent_after` allow a busy host.
    """

    hang_after: float = 300
    dead_after: float = 10
    silent_after: float = 60
    stable_after: float = 600  # serving this long forgets earlier restarts
    max_restarts: int = 5
    first_delay: float = 1
    longest_delay: float = 300

    def delay(self, restarts: int) -> float:
        """Return the seconds to wait before the next restart, after that many restarts in a row."""
        return min(self.first_delay * 2.0 ** min(restarts, 30), self.longest_delay)


@dataclass(frozen=True)
class Observation:
    """A server at one time. `steps` counts what its engine did; None if /metrics did not answer."""

    at: float
    state: State
    health: Health = "silent"
    requests: int = 0
    steps: int | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    started: str = ""  # when the container was started, as the engine writes it


@dataclass(frozen=True)
class History:
    """What earlier observations showed: since when the server serves, is unhealthy, or makes no progress."""

    serving_since: float
    restarts: int = 0  # in a row
    unhealthy_since: float | None = None
    steps: int | None = None
    progress_at: float | None = None  # None: no request is running
    started: str = ""  # the start that this history is about

    def restarted(self, at: float, started: str) -> History:
        """Return the history after one more restart, which ended at `at`."""
        return History(at, self.restarts + 1, started=started)

    def followed(self, at: float, started: str) -> History:
        """Return the history after a start that was waited for until `at`."""
        return History(at, self.restarts, started=started)


@dataclass(frozen=True)
class Decision:
    """What to do now, and why."""

    action: Action
    reason: str = ""


WAIT = Decision("wait")


def decide(policy: Policy, history: History, seen: Observation) -> tuple[Decision, History]:
    """Return what to do after an observation, and the history with it."""
    if seen.state == "gone":
        return Decision("end", "its container was removed"), history
    if seen.state in ("paused", "unknown"):  # the user's will, or nothing to act on: clocks start again
        return WAIT, replace(history, unhealthy_since=None, progress_at=None)
    if seen.state == "running" and seen.started != history.started:
        return Decision("follow", "it was started"), history
    history = _watched(policy, history, seen)
    reason = _exit_reason(seen) if seen.state == "exited" else _fault(policy, history, seen)
    if not reason:
        return WAIT, history
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
    if seen.steps is None:
        return history
    if not seen.requests or history.progress_at is None or seen.steps != history.steps:
        return replace(history, steps=seen.steps, progress_at=seen.at if seen.requests else None)
    return history


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
    if seen.requests and history.progress_at is not None and seen.steps == history.steps:
        seconds = seen.at - history.progress_at
        if seconds >= policy.hang_after:
            return f"{seen.requests} requests made no progress for {seconds:.0f} s"
    return ""
