"""What stays of a log: the first and the last failures, the first and the last lines that complain.

Memory is bounded whatever the size of the log. Lines that differ only in their numbers are one.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace

from launch.diagnosis.failure import Failure
from launch.diagnosis.record import Record

KEPT = 64  # failures from each end of the log
KEPT_LINES = 1000  # complaining lines from each end
LONGEST = 1000  # characters of such a line; the rows look for its beginning

_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")


@dataclass
class Reading:
    """What one start of the server left in its log."""

    failures: list[Failure] = field(default_factory=list)
    last_failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=KEPT))
    first: dict[str, Record] = field(default_factory=dict)
    last: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    begun: bool = False  # the log holds the beginning of this start
    serving: bool = False

    def add(self, failure: Failure) -> None:
        """Keep a failure, among the first or the last."""
        if len(self.failures) < KEPT:
            self.failures.append(failure)
        else:
            self.last_failures.append(failure)

    def note(self, record: Record) -> None:
        """Keep a line unless one like it is already here."""
        record = replace(record, text=record.text[:LONGEST])
        alike = _NUMBERS.sub("#", record.text)
        if len(self.first) < KEPT_LINES:
            self.first.setdefault(alike, record)
        elif alike not in self.first:
            self.last.append(record)

    @property
    def all_failures(self) -> list[Failure]:
        """Those that came to an exception, in the order of the log."""
        return [failure for failure in (*self.failures, *self.last_failures) if failure.chain]

    @property
    def lines(self) -> list[Record]:
        """The complaining lines, in the order of the log."""
        return [*self.first.values(), *self.last]
