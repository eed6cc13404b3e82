"""One of several sources: which files it has, how fast it was lately, and whether it is still used."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from launch.weights.source import Source

REST = 5.0  # seconds after a failure in which other sources are preferred
STALE = 30.0  # seconds after which a rate is measured again
SMOOTHING = 0.5  # weight of the newest measurement


@dataclass
class Candidate:
    """A source that may be used for these paths. Many threads read and change it."""

    name: str
    source: Source
    paths: frozenset[str]
    dropped: str = ""  # why it is no longer used
    received: int = 0
    failures: int = 0  # in a row
    active: int = 0  # readers
    _rate: float = 0.0  # bytes a second of one connection
    _measured: float = 0.0
    _rests_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def has(self, path: str) -> bool:
        """Whether it may be used for a file."""
        return not self.dropped and path in self.paths

    @property
    def rate(self) -> float | None:
        """Bytes per second of one connection; None if that is not known, or not any longer."""
        with self._lock:
            stale = not self.active and time.monotonic() - self._measured > STALE
            return None if stale or not self._measured else self._rate

    @property
    def rests(self) -> bool:
        """Whether it failed a moment ago."""
        return time.monotonic() < self._rests_until

    def measure(self, count: int, seconds: float) -> None:
        """Add a measurement of one connection."""
        with self._lock:
            newest = count / max(seconds, 1e-6)
            self._rate = newest if not self._measured else self._rate + SMOOTHING * (newest - self._rate)
            self._measured = time.monotonic()

    def count(self, received: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            self.received += received
            self.failures = 0

    def fail(self) -> int:
        """Count a failure; return how many there were in a row."""
        with self._lock:
            self.failures += 1
            self._rests_until = time.monotonic() + REST
            return self.failures

    def occupy(self, readers: int) -> None:
        """Count readers that start (1) or end (-1)."""
        with self._lock:
            self.active += readers


def best(candidates: list[Candidate]) -> Candidate:
    """Return the one to use next: one of unknown speed, with fewest readers, else the fastest; in the given order."""
    awake = [one for one in candidates if not one.rests] or candidates
    unknown = [one for one in awake if one.rate is None]
    if unknown:
        return min(unknown, key=lambda one: one.active)
    return max(awake, key=lambda one: one.rate or 0.0)
