"""Supervise a server: restart it after a death or a hang, fix what has a safe fix once, give up after too many."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from errors import SlipwayError
from launch.engine.servers import find
from launch.operations import servers
from launch.operations.launch import launch, planned
from launch.operations.saved_fixes import save
from launch.operations.supervised_launch import SupervisedLaunch
from launch.serving.log_follower import engine_errors
from launch.serving.readiness import wait_for_server
from launch.serving.server_exit import ServerExited
from launch.supervision import events as records
from launch.supervision.death import diagnose_death, save_log
from launch.supervision.events import Event, Kind
from launch.supervision.notify import notify
from launch.supervision.observe import answers, observe
from launch.supervision.policy import Decision, History, Observation, Policy, begin, decide

if TYPE_CHECKING:
    from docker import DockerClient

    from launch.diagnosis.types import Diagnosis

_log = logging.getLogger(__name__)
_INTERVAL = 2.0  # seconds between observations
Sleep = Callable[[float], None]


@dataclass
class Supervisor:
    """The supervisor of one server.

    `saved` plans the server again for a fix; None if it was not launched with `--supervise`: nothing is fixed then.
    """

    client: DockerClient
    name: str
    policy: Policy = field(default_factory=Policy)
    command: str = ""  # the user's, for each event
    saved: SupervisedLaunch | None = None
    show: Callable[[Event], None] = lambda event: None
    sleep: Sleep = time.sleep
    _fixed: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Watch until the server is removed or given up. Raises Refused if it does not exist."""
        find(self.client, self.name)
        self._record("supervised", f"restarts at most {self.policy.max_restarts} times in a row")
        seen = observe(self.client, self.name)
        history = begin(time.monotonic(), seen)
        while True:
            decision, history = decide(self.policy, history, seen)
            if decision.action == "probe":
                seen = self._probe(seen)
                decision, history = decide(self.policy, history, seen)
            if decision.action == "follow":
                history = self._follow(history, seen)
            elif decision.action == "restart":
                history = self._restart(decision, history, seen)
            elif decision.action != "wait":
                self._end(decision, seen)
                return
            self.sleep(_INTERVAL)
            seen = observe(self.client, self.name)

    def _end(self, decision: Decision, seen: Observation) -> None:
        if decision.action == "end":
            self._record("ended", decision.reason)
            return
        self._death("gave up", decision.reason, seen)
        with suppress(*engine_errors()):  # a server that hangs would keep its GPUs
            find(self.client, self.name).stop(timeout=30)

    def _probe(self, seen: Observation) -> Observation:
        """Return the observation with the answer to a test request."""
        try:
            answered = answers(find(self.client, self.name), self.policy.probe_after)
        except SlipwayError:  # the next observation tells why
            return seen
        except engine_errors():
            return seen
        return replace(seen, at=time.monotonic(), answered=answered)

    def _follow(self, history: History, seen: Observation) -> History:
        """Wait until a start serves, by the user or by the engine. One that fails is seen by the next observation."""
        with suppress(SlipwayError, *engine_errors()):
            wait_for_server(find(self.client, self.name), lambda progress: None, fresh=False)
        return history.followed(time.monotonic(), seen.started)

    def _restart(self, decision: Decision, history: History, seen: Observation) -> History:
        """Record the death, wait, and start the server again; a start that fails is the next death."""
        try:
            diagnosis = self._death("died", decision.reason, seen)
            self.sleep(self.policy.delay(history.restarts))
            if self._can_fix(diagnosis):
                self._start_with_fix(diagnosis)
            else:
                self._start_again()
        except ServerExited:
            pass  # the next observation sees the exit
        except SlipwayError as error:
            self._record("died", f"the restart failed: {error.what}", error.why, error.fix)
        except engine_errors() as error:
            self._record("died", "the restart failed: the container engine", str(error)[:300])
        return history.restarted(time.monotonic(), observe(self.client, self.name).started)

    def _death(self, kind: Kind, reason: str, seen: Observation) -> Diagnosis:
        """Save the log of the server, diagnose and record its death."""
        lines, log = save_log(find(self.client, self.name))
        diagnosis = diagnose_death(lines, seen)
        fix = diagnosis.fix or f"invoke diagnose {self.name}"
        self._record(kind, reason, diagnosis.cause, fix, log)
        return diagnosis

    def _can_fix(self, diagnosis: Diagnosis) -> bool:
        """Whether a safe fix is known that was not tried yet."""
        new = diagnosis.cause_id not in self._fixed
        return bool(self.saved and diagnosis.known and diagnosis.safe and diagnosis.change and new)

    def _start_with_fix(self, diagnosis: Diagnosis) -> None:
        """Replace the container by one with the fix: the same image, and free GPUs."""
        assert self.saved is not None, "checked by _can_fix"
        self._fixed.add(diagnosis.cause_id)
        save(planned(self.saved.options, "no"), diagnosis)
        launch(self.saved.options, replace(self.saved.how, replace=True, wait=True, fixes="auto"))
        self._record("fixed", "it serves again with a fix", diagnosis.cause, diagnosis.fix)

    def _start_again(self) -> None:
        container = find(self.client, self.name)
        servers.restart(self.client, container)
        wait_for_server(container, lambda progress: None)
        self._record("restarted", "it serves again")

    def _record(self, kind: Kind, reason: str, cause: str = "", fix: str = "", log: str = "") -> None:
        event = Event(records.now(), self.name, kind, reason, cause, fix, log)
        try:
            records.record(event)
        except (OSError, SlipwayError) as error:  # a full disk must not end the supervision
            _log.warning("the event is not recorded: %s", error)
        self.show(event)
        notify(self.command, event)
