"""What is kept of a log: the first and last tracebacks, the first and last lines that report a problem.

Memory is bounded whatever the size of the log. Of lines that differ only in numbers, one is kept.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace

from launch.diagnosis.facts import Facts
from launch.diagnosis.log_line import LogLine
from launch.diagnosis.phases import Phase
from launch.diagnosis.types import Severity, Traceback

MAX_TRACEBACKS = 64  # kept from each end of the log
MAX_LINES = 1000  # problem lines kept from each end
MAX_LENGTH = 1000  # characters of such a line; rules look at its beginning
MAX_TAIL = 200  # raw lines kept from the end: they tell for what a start waits

_ENGINE = re.compile(r"EngineCore|Worker|VllmWorker|RayWorker")
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")


@dataclass
class LogSummary:
    """What one start of the server left in its log."""

    first_tracebacks: list[Traceback] = field(default_factory=list)
    last_tracebacks: deque[Traceback] = field(default_factory=lambda: deque(maxlen=MAX_TRACEBACKS))
    first_lines: dict[str, LogLine] = field(default_factory=dict)
    last_lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    facts: Facts = field(default_factory=dict)
    phase: Phase = Phase.START
    empty: bool = False
    has_beginning: bool = False  # the log contains the beginning of this start
    serving: bool = False
    stopping: bool = False  # the front end reports that it shuts down
    last_answer: int = 0  # number of the last line that logs an answered request
    last_progress: int = 0  # number of the last line that begins a phase
    progress: dict[str, int] = field(default_factory=dict)  # the same for each process
    last_refusal: int = 0  # number of the last line that logs a request answered with a server error
    answers: int = 0  # how many requests the log shows as answered
    idle_waits: int = 0  # how often in a row, at the end, vLLM reported requests that wait while none runs
    idle_report: str = ""  # the last of these reports
    last_activity: int = 0  # number of the last line that reports generated tokens
    stall_reports: int = 0  # how often vLLM logged that a rank does not read
    unfinished: str = ""  # the innermost frame of a traceback whose exception is not in the log
    previous: LogSummary | None = None  # the start before this one, if it failed
    tail: tuple[str, ...] = ()  # the last raw lines of the log

    def add_traceback(self, traceback: Traceback) -> None:
        """Keep a traceback among the first or the last."""
        if len(self.first_tracebacks) < MAX_TRACEBACKS:
            self.first_tracebacks.append(traceback)
        else:
            self.last_tracebacks.append(traceback)

    def add_line(self, line: LogLine) -> None:
        """Keep a line unless a similar one is kept already."""
        line = replace(line, text=line.text[:MAX_LENGTH])
        without_numbers = _NUMBERS.sub("#", line.text)
        if len(self.first_lines) < MAX_LINES:
            self.first_lines.setdefault(without_numbers, line)
        elif without_numbers not in self.first_lines:
            self.last_lines.append(line)

    def forget(self, source: str) -> None:
        """Drop what one container reported, because it started all the same."""
        self.stall_reports = 0
        self.first_tracebacks = [one for one in self.first_tracebacks if one.source != source]
        self.last_tracebacks = deque((t for t in self.last_tracebacks if t.source != source), MAX_TRACEBACKS)
        self.first_lines = {key: line for key, line in self.first_lines.items() if line.source != source}
        self.last_lines = deque((line for line in self.last_lines if line.source != source), MAX_LINES)

    def keep_sources(self, sources: set[str]) -> None:
        """Drop what other containers reported: they run other programs."""
        writers = {one.source for one in self.tracebacks} | {line.source for line in self.lines}
        for source in writers - sources - {""}:
            self.forget(source)

    def went_on_after(self, number: int, process: str) -> bool:
        """Whether a process began a phase of its start after a line of the log."""
        return number < self.progress.get(process, 0)

    @property
    def failed(self) -> bool:
        """Whether a fatal traceback ended this start."""
        return any(traceback.severity is Severity.FATAL for traceback in self.tracebacks)

    @property
    def clean(self) -> bool:
        """Whether no problem was reported."""
        return not self.tracebacks and not self.lines

    @property
    def tracebacks(self) -> list[Traceback]:
        """The kept tracebacks that have an exception, in the order of the log."""
        kept = (*self.first_tracebacks, *self.last_tracebacks)
        return [self._reassess(traceback) for traceback in kept if traceback.exceptions]

    def _reassess(self, traceback: Traceback) -> Traceback:
        """Lower a traceback to handled if the server answered a request after it, or its process went on."""
        number = traceback.root.number
        if traceback.severity is Severity.FATAL and _ENGINE.match(traceback.root.process_name):
            return traceback  # answers after it are those of streams that were open already
        went_on = traceback.severity is Severity.LOGGED and self.went_on_after(number, traceback.root.process)
        survived = number < self.last_answer or went_on
        return replace(traceback, severity=Severity.HANDLED) if survived else traceback

    @property
    def lines(self) -> list[LogLine]:
        """The kept problem lines, in the order of the log."""
        return sorted((*self.first_lines.values(), *self.last_lines), key=lambda line: line.number)
