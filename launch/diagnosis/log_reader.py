"""Read a log once, front to back, into a summary of its newest start."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from launch.diagnosis.facts import read_facts
from launch.diagnosis.log_line import LogLine, parse_line
from launch.diagnosis.log_marks import LogMarks
from launch.diagnosis.log_prefixes import PrefixStripper
from launch.diagnosis.log_summary import MAX_LINES, MAX_TAIL, LogSummary
from launch.diagnosis.phases import Phase, milestone
from launch.diagnosis.traceback_parser import TRACEBACK_START, TracebackParser
from launch.diagnosis.types import Severity, Traceback

HANG_REPORTS = 10  # one a minute; compiling takes fewer minutes
LEARNING_LINES = 200  # lines whose prefix is learned even if their text is skipped
CUT_LINES = 60  # from the beginning of a log, in which a stack without its first line is read
MARKING_LINES = 5000  # lines in which marks of a program are searched
_TAIL_LENGTH = 500

_PROMPT = "Received request "  # what vLLM logs of a request, with the prompt behind it
_HEAD = 200  # characters
_SERVING_FACTS = ("SpecDecoding", "to fall asleep", "to wake up")
_STALLED = "No available shared memory broadcast block found"
_FATAL = re.compile(
    r"failed to start|fatal error|hit an exception|^Process \S+:$|engine (?:core|process|loop)|"
    r"processing method (?:init|load)|died|Unhandled|Uncaught|"
    r"^Exception in thread \S+ \(process_(?:input|output)_sockets\)",
    re.IGNORECASE | re.MULTILINE,
)
_ENGINE_THREAD = re.compile(r"(?m)^Exception in thread \S+ \(process_(?:input|output)_sockets\)")
_HANDLED = re.compile(
    r"(?m)^Exception ignored in|^Exception in thread|Logging error|Task exception was never|Exception in ASGI|"
    r"^Exception in callback|Error in atexit|Error in sys\.excepthook|[Ee]xception while exporting|"
    r"Failed to load plugin",
)
# Modules that serve a single request: their errors are reported to the client.
_REQUEST_MODULES = re.compile(
    r"(?:^|/)(?:serving\w*|\w*(?:tool|reasoning)\w*parsers?|api_router|chat_utils|preprocess\w*)\.py:"
)
_COMPLAINT = re.compile(
    r"rror|ERR|xception|Traceback|atal|FATAL|ail|ill|bort|ssert|E\d{4} |Xid|fault|startup complete"
)
_WARNING = re.compile(r"\bWARN(?:ING)?\b|Warning: ")
_GENERATES = re.compile(r"generation throughput: (?!0\.0 )")
_IDLE = re.compile(r"Running: 0 reqs, (?:Swapped: 0 reqs, )?(?:Waiting|Pending): [1-9]")
_STOPPING = re.compile(r"Shutting down|Finished server process")


def read_log(lines: Iterable[str], marks: LogMarks) -> LogSummary:
    """Read a whole log. Memory does not grow with its size."""
    reader = LogReader(marks)
    for number, raw in enumerate(lines, 1):
        reader.read(raw, number)
    return reader.result()


class LogReader:
    """Collect a summary line by line."""

    def __init__(self, marks: LogMarks) -> None:
        self.summary = LogSummary(empty=True)
        self._marks = marks
        self._stripper = PrefixStripper()
        self._tracebacks = TracebackParser(self._add_traceback)
        self._last_text: dict[tuple[str, str], str] = {}
        self._previous = LogLine(0, "", "", "", "", "")
        self._tail: deque[str] = deque(maxlen=MAX_TAIL)
        self._postponed: deque[tuple[int, str]] = deque(maxlen=MAX_LINES)

    def read(self, raw: str, number: int) -> None:
        """Read one line of the log."""
        self.summary.empty = False
        self._tail.append(raw[:_TAIL_LENGTH])
        if number <= MARKING_LINES:
            self._marks.read(raw)
        if self._stripper.prefixes_have_levels:
            self._parse(raw, number)
        elif _is_skippable(raw):
            self._skim(raw, number)
        elif self._can_wait(raw):
            self._postponed.append((number, raw))
        else:
            self._parse(raw, number)

    def result(self) -> LogSummary:
        """Return the newest start, or the failed one before it if the newest has not reported anything yet."""
        for number, raw in self._postponed:
            self._parse(raw, number)
        self.summary.unfinished = self._tracebacks.unfinished
        previous = self.summary.previous
        newest = previous if previous and self.summary.clean and not self.summary.serving else self.summary
        newest.tail = tuple(self._tail)
        for line in newest.lines:
            self._marks.read(line.text, line.source)
        if self._marks.sources:
            newest.keep_sources(self._marks.sources)
        return newest

    def _can_wait(self, raw: str) -> bool:
        """Whether a line after many kept ones is a warning or a notice: only the last ones of the log are read."""
        if len(self.summary.first_lines) < MAX_LINES:
            return False
        notice = not self._tracebacks.reads_any and _COMPLAINT.search(raw) is None
        return notice or _WARNING.search(raw, 0, 200) is not None

    def _parse(self, raw: str, number: int) -> None:
        for stripped in self._stripper.strip(raw):
            line = parse_line(stripped, number)
            if line.source and number <= MARKING_LINES:
                self._marks.read(line.text, line.source)
            if line.level not in ("INFO", "DEBUG"):
                self._read_problem(line)
            elif stripped.level and not line.location and self._is_of_traceback(line):
                self._read_problem(replace(line, level=""))  # the level is the collector's
            else:
                self._read_milestone(line)

    def _is_of_traceback(self, line: LogLine) -> bool:
        milestone = "startup complete" in line.text or ' - "' in line.text
        return not milestone and (TRACEBACK_START in line.text or self._tracebacks.is_reading(line))

    def _skim(self, raw: str, number: int) -> None:
        """Look for the few facts that an unimportant line can tell."""
        if _PROMPT in raw[:_HEAD]:
            return  # a user's text tells nothing of the server
        if '"POST ' in raw and '" 200' in raw:
            self.summary.serving, self.summary.last_answer = True, number
            self.summary.answers += 1
        elif '"POST ' in raw and '" 500' in raw:
            self.summary.last_refusal = number
        elif "generation throughput: " in raw:
            self._read_statistics(raw, number)
        elif _STALLED in raw:
            self._count_stall(raw, number)
        if not self.summary.serving:
            self._skim_start(raw, number)
        elif any(words in raw for words in _SERVING_FACTS):
            read_facts(raw, self.summary.facts)
        elif "own" in raw or "Finished" in raw:
            self.summary.stopping |= _STOPPING.search(raw) is not None
        if number <= LEARNING_LINES and (" pid=" in raw or "INFO " in raw):
            for stripped in self._stripper.strip(raw):
                self._marks.read(raw, stripped.source)

    def _read_statistics(self, raw: str, number: int) -> None:
        """Read one of vLLM's periodic reports: whether it generates, or lets requests wait while none runs."""
        if _GENERATES.search(raw):
            self.summary.last_activity = number
        idle = _IDLE.search(raw) is not None
        self.summary.idle_waits = self.summary.idle_waits + 1 if idle else 0
        self.summary.idle_report = raw.strip()

    def _skim_start(self, raw: str, number: int) -> None:
        """Read what an unimportant line of a start tells; only a milestone is worth the time of parsing it."""
        if milestone(raw):
            for stripped in self._stripper.strip(raw):
                self._read_start(parse_line(stripped, number))
        else:
            read_facts(raw, self.summary.facts)

    def _read_start(self, line: LogLine) -> None:
        """Read what a line of a start tells of its phase and its configuration."""
        if phase := milestone(line.text):
            self.summary.phase, self.summary.last_progress = phase, line.number
            self.summary.progress[line.process] = line.number
        read_facts(line.text, self.summary.facts)

    def _count_stall(self, raw: str, number: int) -> None:
        """Report a hang after HANG_REPORTS of vLLM's reports, one a minute, that a rank does not read."""
        self.summary.stall_reports += 1
        if self.summary.stall_reports == HANG_REPORTS:
            for stripped in self._stripper.strip(raw):
                self.summary.add_line(replace(parse_line(stripped, number), level="ERROR"))

    def _read_milestone(self, line: LogLine) -> None:
        if _PROMPT in line.text[:_HEAD]:
            return
        if "startup complete" in line.text:
            self._mark_serving(line)
        elif "non-default args" in line.text or "API server version" in line.text:
            self._begin_start()
        self._read_start(line)

    def _mark_serving(self, line: LogLine) -> None:
        """Drop earlier problems, which did not stop this start; a fatal one belongs to the start before."""
        if self.summary.failed:
            self._begin_start()
        else:
            self.summary.forget(line.source)
            self._tracebacks.forget()
            self._postponed.clear()
        self.summary.serving = True

    def _begin_start(self) -> None:
        """Begin a new summary: the log of a restarted container holds all its starts, and the newest counts."""
        before = self.summary
        if before.failed or before.serving:
            failed, before.previous = before if before.failed else before.previous, None
            self.summary = LogSummary(previous=failed)
            self._tracebacks.forget()
            self._postponed.clear()
        self.summary.has_beginning, self.summary.phase = True, Phase.START

    def _read_problem(self, line: LogLine) -> None:
        if TRACEBACK_START in line.text:
            self._tracebacks.start(line, self._severity(line))
        elif line.number <= CUT_LINES and self._tracebacks.is_cut(line):
            self._tracebacks.start(line, self._severity(line))
            self._tracebacks.read(line)
        elif not self._tracebacks.read(line):
            self._keep(line)
        if line.text.strip():
            self._last_text[line.writer] = line.text
            self._previous = line

    def _add_traceback(self, traceback: Traceback) -> None:
        traceback.phase = Phase.SERVING if self.summary.serving else self.summary.phase
        self.summary.add_traceback(traceback)

    def _keep(self, line: LogLine) -> None:
        if line.text.strip():
            harmless = line.level == "ERROR" and (self._is_about_request(line) or _HANDLED.search(line.text))
            self._read_start(line)
            self.summary.add_line(replace(line, level="WARNING") if harmless else line)

    def _is_about_request(self, line: LogLine) -> bool:
        """Whether the line is about one request of a server that goes on."""
        in_module = _REQUEST_MODULES.search(line.location)
        return bool(in_module) or (self.summary.serving and "API" in line.process_name)

    def _severity(self, line: LogLine) -> Severity:
        """Judge a traceback by its first line and by the line that the same writer logged before it."""
        # Python's own logging module prints a traceback below its message, without the message's prefix.
        logged = (
            self._previous.text if self._previous.level and line.number == self._previous.number + 1 else ""
        )
        before = f"{self._last_text.get(line.writer, '')}\n{logged}"
        handled = _HANDLED.search(before) or _HANDLED.search(line.text)
        if line.level == "WARNING" or (handled and not _ENGINE_THREAD.search(before)):
            return Severity.HANDLED
        if _FATAL.search(before) or _FATAL.search(line.text) or not line.level:
            return Severity.FATAL
        return Severity.HANDLED if self._is_about_request(line) else Severity.LOGGED


def _is_skippable(raw: str) -> bool:
    """Whether a line need not be parsed. Nearly all lines of a long log are of this kind, so this must be fast."""
    head = raw[:100]
    # NCCL_DEBUG=INFO is not the level of a line.
    if ("INFO" not in head or "=INFO" in head) and ("DEBUG" not in head or "DEBUG=" in raw[:110]):
        return False
    milestone = "startup complete" in raw or "non-default args" in raw or "API server version" in raw
    return not milestone and TRACEBACK_START not in raw
