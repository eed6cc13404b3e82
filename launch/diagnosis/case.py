"""The evidence, sorted for a verdict: causes apart from consequences, lines apart from tracebacks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.diagnosis.evidence import Evidence
from launch.diagnosis.failure import EXCEPTION, Failure, Raised, Weight
from launch.diagnosis.reading import read_log
from launch.diagnosis.record import Record, read
from launch.diagnosis.symptoms import Symptom, Table

SHOWN = 500  # characters of a line that is shown


@dataclass(frozen=True)
class Found:
    """The row that fits, where it fits, and the lines to show for it."""

    symptom: Symptom
    match: re.Match[str] | None
    proof: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """`causes` are failures that no other explains, `followers` those that only report another one."""

    evidence: Evidence
    causes: tuple[Failure, ...]
    followers: tuple[Failure, ...]
    lines: tuple[Record, ...]
    engine: tuple[Record, ...]
    begun: bool = False

    @property
    def unexplained(self) -> bool:
        """Whether an exception that ended the server stands there; what came after it is then no answer."""
        return any(failure.weight is not Weight.HANDLED for failure in self.causes)

    @property
    def first_exception(self) -> str:
        """The root of the first failure; a complaining line where no traceback is in the log."""
        if failures := self.causes or self.followers:
            return failures[0].root.head[:SHOWN]
        return next((record.text.strip() for record in self.lines if _complains(record)), "")[:SHOWN]

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines that were more than information."""
        return tuple(shown(record.who, record.text.strip()[:SHOWN]) for record in self.lines[-2:])


def open_case(evidence: Evidence, table: Table) -> Case:
    """Read the log and sort what is in it."""
    reading = read_log(evidence.lines)
    failures = sorted(reading.all_failures, key=lambda failure: failure.weight is Weight.HANDLED)
    return Case(
        evidence,
        tuple(f for f in failures if not table.is_consequence(f.root.head)),
        tuple(f for f in failures if table.is_consequence(f.root.head)),
        tuple(reading.lines),
        tuple(read(line) for line in evidence.engine_error.splitlines() if line.strip()),
        reading.begun,
    )


def _complains(record: Record) -> bool:
    """An error that was logged, or an exception whose traceback is not in the log."""
    if record.level:
        return record.level in ("ERROR", "CRITICAL")
    exception = EXCEPTION.match(record.text)
    return bool(exception and exception["rest"] and re.search("(?i)error|exception", exception["type"]))


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
