"""What stays of a log: the first and the last failures, the first and the last lines that complain.

Memory is bounded whatever the size of the log. Lines that differ only in their numbers are one.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace

from launch.diagnosis.log_line import Record
from launch.diagnosis.traceback_model import Failure, Weight

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
    empty: bool = False  # nothing at all was read
    begun: bool = False  # the log holds the beginning of this start
    serving: bool = False
    answered: int = 0  # the last line that says that a request was served
    waited: int = 0  # how often a rank was waited for
    cut: str = ""  # the last line of a traceback whose exception is not in the log
    earlier: Reading | None = None  # the start before this one, where it failed

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

    def survived(self, box: str) -> None:
        """What one box reported before it served did not stop it."""
        self.waited = 0
        self.failures = [failure for failure in self.failures if failure.box != box]
        self.last_failures = deque((f for f in self.last_failures if f.box != box), KEPT)
        self.first = {alike: record for alike, record in self.first.items() if record.box != box}
        self.last = deque((record for record in self.last if record.box != box), KEPT_LINES)

    @property
    def failed(self) -> bool:
        """Whether something ended this start."""
        return any(failure.weight is Weight.FATAL for failure in self.all_failures)

    @property
    def quiet(self) -> bool:
        """Whether nothing complained."""
        return not self.all_failures and not self.lines

    @property
    def all_failures(self) -> list[Failure]:
        """Those that came to an exception, in the order of the log."""
        return [self._seen(failure) for failure in (*self.failures, *self.last_failures) if failure.chain]

    def _seen(self, failure: Failure) -> Failure:
        """A failure that was only logged did not end a server that answered a request after it."""
        outlived = failure.weight is Weight.LOGGED and failure.root.number < self.answered
        return replace(failure, weight=Weight.HANDLED) if outlived else failure

    @property
    def lines(self) -> list[Record]:
        """The complaining lines, in the order of the log."""
        return [*self.first.values(), *self.last]
