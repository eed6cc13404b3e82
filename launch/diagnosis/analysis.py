"""The evidence, sorted for a verdict: causes apart from consequences, lines apart from tracebacks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.diagnosis.log_line import Record, read
from launch.diagnosis.log_prefixes import Line
from launch.diagnosis.log_reader import read_log
from launch.diagnosis.log_summary import Reading
from launch.diagnosis.rules import Symptom, Table
from launch.diagnosis.traceback_model import Failure, Raised, Weight
from launch.diagnosis.types import Evidence

_RAISED = re.compile(r"(?:^|\s)(?:\w+\.)*(?:[A-Z]\w*)?(?:[Ee]rror|[Ee]xception): \S")
_NATIVE = re.compile(r"(?i)\W*(?:\w+[ _])?(?:error|fatal)(?: error)?\s?[:|]|docker: Error")
SHOWN = 500  # characters of a line that is shown


@dataclass(frozen=True)
class Found:
    """The row that fits, where it fits, and the lines to show for it."""

    symptom: Symptom
    match: re.Match[str] | None
    proof: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """`causes` are failures that no other explains, `followers` those that only report another one.

    `complaints` and `echoes` are the same for lines outside any traceback. `requests` are failures that a
    serving server told to its clients.
    """

    evidence: Evidence
    causes: tuple[Failure, ...]
    followers: tuple[Failure, ...]
    requests: tuple[Failure, ...]
    lines: tuple[Record, ...]
    complaints: tuple[Record, ...]
    echoes: tuple[Record, ...]
    engine: tuple[Record, ...]
    reading: Reading

    @property
    def unexplained(self) -> bool:
        """Whether an exception that ended the server stands there; what came after it is then no answer."""
        return any(failure.weight is not Weight.HANDLED for failure in self.causes)

    @property
    def healthy(self) -> bool:
        """Whether the server goes on, as far as its log and its end tell; only single requests failed."""
        told = self.complaints or self.echoes or self.engine or self.cut
        return not (self.causes or self.followers or told) and self.evidence.exit_code in (0, None)

    @property
    def cut(self) -> str:
        """Where a traceback stands whose exception is not in the log, as long as no other is."""
        return "" if self.causes or self.followers else self.reading.cut

    @property
    def first_exception(self) -> str:
        """The root of the first failure; a complaining line where no traceback is in the log."""
        if self.healthy or self.cut:
            return ""
        if failures := self.causes or self.followers:
            return failures[0].root.head[:SHOWN]
        return next((record.text.strip() for record in self.complaints + self.echoes), "")[:SHOWN]

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines that were more than information."""
        return tuple(shown(record.who, record.text.strip()[:SHOWN]) for record in self.lines[-2:])


def open_case(evidence: Evidence, table: Table) -> Case:
    """Read the log and sort what is in it."""
    return case_of(read_log(evidence.lines), evidence, table)


def case_of(reading: Reading, evidence: Evidence, table: Table) -> Case:
    """What one start left in the log, sorted."""
    failures = sorted(reading.all_failures, key=lambda failure: failure.weight is Weight.HANDLED)
    own = [failure for failure in failures if not table.is_consequence(failure.root.head)]
    requests = [failure for failure in own if reading.serving and failure.weight is Weight.HANDLED]
    lines = [
        record
        for record in reading.lines
        if not (_outlived(record, reading) or table.is_survived(record.text))
    ]
    complaints = list(filter(_complains, lines))
    return Case(
        evidence,
        tuple(own[: len(own) - len(requests)]),
        tuple(failure for failure in failures if table.is_consequence(failure.root.head)),
        tuple(requests),
        tuple(lines),
        tuple(record for record in complaints if not table.is_consequence(record.text)),
        tuple(record for record in complaints if table.is_consequence(record.text)),
        tuple(read(Line(line)) for line in evidence.engine_error.splitlines() if line.strip()),
        reading,
    )


def _outlived(record: Record, reading: Reading) -> bool:
    """Whether a request was answered after vLLM logged this error."""
    return record.logged and record.level == "ERROR" and record.number < reading.answered


def _complains(record: Record) -> bool:
    """An error that was logged, or an exception whose traceback is not in the log."""
    if record.level:
        return record.level in ("ERROR", "CRITICAL")
    return _RAISED.search(record.text) is not None or _NATIVE.match(record.text) is not None


def proof(raised: Raised, match: re.Match[str]) -> tuple[str, ...]:
    """The exception, and the line of its message that told, where that is another one."""
    told = line_of(raised.text, match)
    seen = " ".join(told.split())[:80] in raised.head
    words = (raised.head[:SHOWN],) if seen else (raised.lines[0][:SHOWN], told)
    return tuple(shown(raised.who, line) for line in words)


def line_of(text: str, match: re.Match[str]) -> str:
    """The line around a match, shortened to what a person reads."""
    begin = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    line = text[begin : end if end >= 0 else len(text)]
    start = max(0, match.start() - begin - 60) if len(line) > SHOWN else 0
    return line[start : start + SHOWN].strip()


def shown(who: str, line: str) -> str:
    """A line with the name of who said it."""
    return f"({who}) {line}" if who else line
