"""Read part of a file from several sources: from the fastest, and from another one when it fails or slows down."""

from __future__ import annotations

import contextlib
import time
from typing import Protocol

from errors import Failed
from launch.http.pool import ConnectionPool
from launch.http.retry import TransientError
from launch.weights.manifest import Entry
from launch.weights.source import Reader
from launch.weights.sources.candidate import Candidate, best

MEASURE = 0.5  # seconds of receiving in one measurement
TRIAL = 2.0  # seconds that a source is read before another one may replace it
CLEARLY = 3.0  # how many times faster that other one must be
MOST_FAILURES = 3  # in a row, until a source is dropped
SKIP = 1 << 20


class Candidates(Protocol):
    """Who decides which sources may be used for a file (`several.SeveralSources`)."""

    def candidates(self, entry: Entry) -> list[Candidate]:
        """Return the sources that may be used for a file. Raises Failed if there is none."""

    def note_bytes(self, entry: Entry, name: str) -> None:
        """Note that a source gave bytes of a file."""

    def drop(self, candidate: Candidate, why: str, entry: Entry) -> bool:
        """Use a source no longer, unless it is the last one that has this file. Return whether it was dropped."""


class SwitchingReader:
    """Part of a file (`source.Reader`)."""

    def __init__(self, sources: Candidates, entry: Entry, first: int, end: int, pool: ConnectionPool) -> None:
        self.position, self.end = first, end
        self._sources, self._entry, self._pool = sources, entry, pool
        self._reader: Reader | None = None
        self._candidate: Candidate | None = None
        self._failed: set[str] = set()  # since the last byte
        self._received, self._seconds, self._trial = 0, 0.0, 0.0

    def readinto(self, view: memoryview) -> int:
        """Read some bytes, from any source. Raises TransientError once every source has failed at this byte."""
        while True:
            candidate, start = self._choose(), time.monotonic()
            try:
                count = self._read(candidate, view[: self.end - self.position])
            except (TransientError, Failed) as error:
                self._handle(candidate, error)
                continue
            self._failed.clear()
            self._note(candidate, count, time.monotonic() - start)
            return count

    def _choose(self) -> Candidate:
        """Return the source that is read, or another one if there is none or a better one."""
        usable = [one for one in self._sources.candidates(self._entry) if one.name not in self._failed]
        current = self._candidate
        if current is not None and current in usable and not self._should_leave(current, usable):
            return current
        self._leave()
        if not usable:  # another thread has dropped the last one that had not failed here
            raise TransientError(f"every source of {self._entry.path} has failed")
        chosen = best(usable)
        chosen.occupy(1)
        self._candidate, self._trial = chosen, 0.0
        return chosen

    def _should_leave(self, current: Candidate, usable: list[Candidate]) -> bool:
        """Whether another source is clearly faster, or was not tried yet, after a fair trial of this one."""
        if self._trial < TRIAL:
            return False
        others = [one for one in usable if one is not current and not one.rests]
        if any(one.rate is None and not one.active for one in others):
            return True
        return any((one.rate or 0.0) > CLEARLY * (current.rate or 0.0) for one in others)

    def _read(self, candidate: Candidate, view: memoryview) -> int:
        """Read from a source; open it first if necessary, and skip what it sends before the wanted byte."""
        if self._reader is None:
            self._reader = candidate.source.open(self._entry, self.position, self.end, self._pool)
        if self._reader.position > self.position:
            raise TransientError(
                f"the response starts at byte {self._reader.position}, the request at {self.position}"
            )
        while self._reader.position < self.position:  # it ignores ranges
            self._reader.readinto(memoryview(bytearray(min(SKIP, self.position - self._reader.position))))
        if self._reader.position >= self._reader.end:  # it sends less than the range
            self._close()
            return self._read(candidate, view)
        return self._reader.readinto(view)

    def _note(self, candidate: Candidate, count: int, seconds: float) -> None:
        self.position += count
        self._sources.note_bytes(self._entry, candidate.name)
        candidate.count(count)
        self._received, self._seconds = self._received + count, self._seconds + seconds
        if self._seconds >= MEASURE or self.position >= self.end:
            candidate.measure(self._received, self._seconds)
            self._trial += self._seconds
            self._received, self._seconds = 0, 0.0

    def _handle(self, candidate: Candidate, error: TransientError | Failed) -> None:
        """Let the next read use another source. Raises the error if there is none, or if the fetch is stopping."""
        self._leave()
        if self._pool.is_stopped:
            raise error
        self._failed.add(candidate.name)
        failures = candidate.fail()
        if isinstance(error, Failed) or failures >= MOST_FAILURES:
            reason = error.reason if isinstance(error, TransientError) else f"{error.what}: {error.why}"
            self._sources.drop(candidate, reason, self._entry)
        if all(one.name in self._failed for one in self._sources.candidates(self._entry)):
            raise error

    def _leave(self) -> None:
        """Stop reading from the source."""
        if self._candidate is not None:
            self._candidate.occupy(-1)
        self._candidate, self._received, self._seconds = None, 0, 0.0
        self._close()

    def _close(self) -> None:
        if self._reader is not None:
            with contextlib.suppress(OSError):
                self._reader.close()
        self._reader = None

    def close(self) -> None:
        """Stop reading."""
        self._leave()
