"""How far the start of a pod is, and how long each phase took: from its status, its events and its log. Pure.

The times of Kubernetes have no fractions of a second; those of the log do. Both are of the clock of the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from launch.deploy.client import Object
from launch.serving.phases import Phase, StartupProgress, load_phases

SCHEDULE, MOUNT, PULL, CREATE, READY = "schedule", "mount", "pull", "create", "ready"
FIRST_ANSWER = "first generation"
LINE = re.compile(r"(\S+Z) (.*)")


@dataclass
class PodStart:
    """The start of one container of a pod: what its status tells, then the phases of its log."""

    name: str
    phases: tuple[Phase, ...] = field(default_factory=load_phases)
    before: dict[str, float] = field(default_factory=dict)  # seconds of the phases before the log
    current: str = SCHEDULE
    log: StartupProgress | None = None
    log_start: float = 0.0
    last: str = ""  # time of the last line that was read
    ready_at: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """All phases, in order."""
        return (SCHEDULE, MOUNT, PULL, CREATE, *(phase.name for phase in self.phases[:-1]), READY)

    @property
    def phase(self) -> str:
        """The phase that runs now."""
        if self.log is None:
            return self.current
        return READY if self.log.in_last_phase else self.log.phase.name

    @property
    def index(self) -> int:
        """How many phases have passed."""
        if self.ready_at:
            return len(self.names)
        return self.names.index(self.phase) if self.phase in self.names else self.names.index(MOUNT)

    @property
    def note(self) -> str:
        """The phase with its percentage."""
        return self.phase if self.log is None or self.log.in_last_phase else self.log.note

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each finished phase."""
        log = self.log
        found = {**self.before, **(log.seconds if log else {})}
        if log and log.in_last_phase and self.ready_at:
            found[READY] = _span(log.phase_start, self.ready_at)
        return found

    def read_status(self, pod: Object, events: Iterable[Object]) -> None:
        """Take the status of the pod. A container that was started again begins its phases again."""
        status = pod.get("status") or {}
        marks = tuple(_marks(pod, events))
        self.before = {name: _span(at, end) for (name, at), (_, end) in pairwise(marks)}
        self._add_init_containers(dict(_of_init_containers(status)))
        self.current, at = marks[-1]
        if self.current == "":
            if self.log is None or self.log_start != at:
                self.log, self.log_start, self.last = StartupProgress(self.phases, at), at, ""
        else:
            self.log = None
            self.current = _init_container(status) or self.current
        self.ready_at = _condition(status, "Ready")

    def _add_init_containers(self, seconds: dict[str, float]) -> None:
        """Name the time of containers that run before the server, which would else be part of the mount."""
        self.before |= seconds
        if seconds and MOUNT in self.before:
            self.before[MOUNT] = round(max(0.0, self.before[MOUNT] - sum(seconds.values())), 2)

    def read_log(self, text: str) -> None:
        """Take lines that begin with their time, also such as were read before."""
        for line in text.splitlines():  # a progress bar is several lines, of which the first has a time
            match = LINE.match(line)
            if match:
                self.last = match[1]
            if self.log and self.last and not self.log.in_last_phase:
                self.log.read(match[2] if match else line, seconds_of(self.last))


def _marks(pod: Object, events: Iterable[Object]) -> Iterator[tuple[str, float]]:
    """Yield the phases that have begun, each with its time; the last one runs, and "" is the container itself."""
    yield SCHEDULE, seconds_of(pod["metadata"]["creationTimestamp"])
    status = pod.get("status") or {}
    if not (scheduled := _condition(status, "PodScheduled")):
        return
    yield MOUNT, scheduled
    started = _started(status)
    own = [one for one in events if one["involvedObject"].get("uid") == pod["metadata"].get("uid")]
    pulling, pulled = (_event(own, reason) for reason in ("Pulling", "Pulled"))
    if pulling:
        yield PULL, pulling
    if pulled:
        yield CREATE, pulled
    if started:
        yield "", started


def _event(events: Sequence[Object], reason: str) -> float:
    """Return when something happened to the container first; 0 if it did not."""
    container = "spec.containers{"
    times = [
        one.get("firstTimestamp") or one.get("eventTime")
        for one in events
        if one.get("reason") == reason
        and one["involvedObject"].get("fieldPath", container).startswith(container)
    ]
    return min((seconds_of(time) for time in times if time), default=0.0)


def _started(status: Object) -> float:
    states = status.get("containerStatuses") or ()
    running: dict[str, Any] = (states[0].get("state") or {}).get("running") or {} if states else {}
    return seconds_of(running["startedAt"]) if running.get("startedAt") else 0.0


def _of_init_containers(status: Object) -> Iterator[tuple[str, float]]:
    for container in status.get("initContainerStatuses") or ():
        if end := (container.get("state") or {}).get("terminated"):
            yield container["name"], _span(seconds_of(end["startedAt"]), seconds_of(end["finishedAt"]))


def _init_container(status: Object) -> str:
    """Return the name of the init container that runs."""
    states = status.get("initContainerStatuses") or ()
    return next((str(one["name"]) for one in states if (one.get("state") or {}).get("running")), "")


def _condition(status: Object, kind: str) -> float:
    """Return since when a condition is true; 0 if it is not."""
    for one in status.get("conditions") or ():
        if one["type"] == kind and one["status"] == "True" and one.get("lastTransitionTime"):
            return seconds_of(one["lastTransitionTime"])
    return 0.0


def _span(start: float, end: float) -> float:
    """Return the seconds between two times; the clocks of two machines may differ."""
    return round(max(0.0, end - start), 2)


def seconds_of(stamp: str) -> float:
    """Return a time of Kubernetes as Unix seconds; it may have nanoseconds."""
    whole, _, rest = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + (float(f"0.{rest}") if rest else 0.0)
