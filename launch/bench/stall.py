"""Notice a server that hangs under a load: `vllm bench serve` waits six hours for an answer.

vLLM that is told to end may close its port and wait for its clients, while these wait for their answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType

from errors import Failed

EVERY = 5.0  # seconds between two readings
SILENT = 60.0  # seconds without a /metrics page, as in a supervision
HANGS = 300.0  # seconds without a step, which allows a long prefill, as in a supervision

Steps = Callable[[], int | None]  # a number that grows with each step of an engine; None: no page


@dataclass
class Stall:
    """What readings of a server show. Times are in seconds, of one clock."""

    answered_at: float
    stepped_at: float
    steps: int | None = None

    def seen(self, at: float, steps: int | None) -> str:
        """Take a reading; return why the load must end, "" if it goes on."""
        if steps is not None:
            self.answered_at = at
            if steps != self.steps:
                self.steps, self.stepped_at = steps, at
        if at - self.answered_at > SILENT:
            return f"the server did not answer for {SILENT:.0f} s"
        return f"the server made no step for {HANGS:.0f} s" if at - self.stepped_at > HANGS else ""


@dataclass
class StallWatch:
    """Read a server's steps while the block runs; `end` ends its load. `reason` tells afterwards why it was ended."""

    steps: Steps
    end: Callable[[], object]
    every: float = EVERY
    clock: Callable[[], float] = time.monotonic
    reason: str = ""
    _done: Event = field(default_factory=Event)

    def __enter__(self) -> StallWatch:
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        now = self.clock()
        stall = Stall(now, now)
        while not self._done.wait(self.every):
            if reason := stall.seen(self.clock(), self.steps()):
                self.reason = reason
                with suppress(Failed):
                    self.end()
                return
