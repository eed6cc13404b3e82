"""Sort what a log contains for matching: causes and consequences, tracebacks and single lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launch.diagnosis.complaints import Voice, sounds_wrong, voice
from launch.diagnosis.facts import Facts, add_derived
from launch.diagnosis.innocent_lines import is_innocent
from launch.diagnosis.log_line import LogLine, parse_line
from launch.diagnosis.log_marks import LogMarks
from launch.diagnosis.log_prefixes import StrippedLine
from launch.diagnosis.log_reader import read_log
from launch.diagnosis.log_summary import LogSummary
from launch.diagnosis.request_failures import refusals
from launch.diagnosis.rules import Rules
from launch.diagnosis.types import DiagnosisInput, RaisedException, Severity, Traceback

# Warnings of Kubernetes, and the event that shows that the pod came further.
_LATER_EVENTS = {
    "FailedScheduling": re.compile(r"^\s*(?:[\w-]+\s+)?(?:\d+[smhd]\S*\s+)?Normal\s+(?:Scheduled|Started)\b"),
    "FailedMount": re.compile(r"Normal\s+(?:Pulling|Pulled|Started)\b"),
    "FailedAttachVolume": re.compile(r"Normal\s+(?:Pulling|Pulled|Started)\b"),
    "FailedCreatePodSandBox": re.compile(r"Normal\s+(?:Pulling|Pulled|Started)\b"),
    "ImagePull": re.compile(r"Normal\s+(?:Pulled|Started)\b"),
    "Failed to pull image": re.compile(r"Normal\s+(?:Pulled|Started)\b"),
}
_EXITING = re.compile(r"before program exit|leaked \w+ objects to clean up at shutdown")
_STOPPED = re.compile(r"SystemExit|KeyboardInterrupt|(?:\w+\.)*CancelledError")
MAX_SHOWN = 500  # characters of a line


@dataclass(frozen=True)
class Analysis:
    """`causes` are tracebacks that no other explains, `consequences` those that only report another one.

    `lines` are those outside tracebacks that can tell something; `error_lines` and `consequence_lines` are the
    complaints among them. `request_failures` are tracebacks that a serving server reported to its clients;
    `refusals` are those among them that show a server which runs and cannot answer requests. `died` tells that a
    line reports the end of a process.
    """

    input: DiagnosisInput
    causes: tuple[Traceback, ...]
    consequences: tuple[Traceback, ...]
    request_failures: tuple[Traceback, ...]
    lines: tuple[LogLine, ...]
    error_lines: tuple[LogLine, ...]
    consequence_lines: tuple[LogLine, ...]
    engine_lines: tuple[LogLine, ...]
    facts: Facts
    summary: LogSummary
    marks: LogMarks
    ended: bool
    died: bool = False
    refusals: tuple[Traceback, ...] = ()

    @property
    def fatal_cause(self) -> Traceback | None:
        """The first exception that ended the server; what comes after it in the log does not explain it."""
        return next((one for one in self.causes if one.severity is not Severity.HANDLED), None)

    @property
    def healthy(self) -> bool:
        """Whether log and exit code show a server that goes on; at most single requests failed."""
        if self.input.exit_code not in (0, None) or self.input.oom_killed or self.engine_lines:
            return False
        if self.summary.serving:
            return not self.ended
        return not (self.failing or self.unfinished)

    def went_on_after(self, line: LogLine) -> bool:
        """Whether the process that logged a complaint began a phase of its start after it."""
        return _is_of_server(line) and self.summary.went_on_after(line.number, line.process)

    @property
    def failing(self) -> bool:
        """Whether anything but a handled exception shows a failure."""
        fatal = any(one.severity is not Severity.HANDLED for one in (*self.causes, *self.consequences))
        ended = self.input.exit_code not in (0, None) or self.input.oom_killed or bool(self.engine_lines)
        events = any(map(_is_failing_event, self.lines))
        return fatal or ended or events or self.died or bool(self.error_lines or self.consequence_lines)

    @property
    def exiting(self) -> bool:
        """Whether the log shows that the process ended, for whatever reason."""
        return self.failing or any(_EXITING.search(line.text) for line in self.lines)

    @property
    def is_foreign(self) -> bool:
        """Whether the log is another program's; the log of a container that Slipway watched is not asked."""
        trusted = self.input.exit_code is not None or self.input.engine_error
        return not trusted and not self.summary.empty and self.marks.is_foreign

    @property
    def unfinished(self) -> str:
        """The innermost frame of a traceback that the log cuts off, if there is no other traceback."""
        return "" if self.causes or self.consequences else self.summary.unfinished

    @property
    def first_exception(self) -> str:
        """The root exception of the first traceback, or the first error line if there is no traceback."""
        if self.healthy or self.unfinished:
            return ""
        if tracebacks := self.causes or self.consequences:
            return tracebacks[0].root.summary[:MAX_SHOWN]
        events = tuple(filter(_is_failing_event, self.lines))
        complaints = (*self.error_lines, *self.consequence_lines, *events)
        return next((line.text.strip() for line in complaints), "")[:MAX_SHOWN]

    @property
    def unread(self) -> LogLine | None:
        """The last complaint that no healthy server is known to print; only asked if no rule matches."""
        complaints = (line for line in reversed(self.lines) if sounds_wrong(line))
        return next((line for line in complaints if not is_innocent(line.text)), None)

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last two lines above the level INFO."""
        return tuple(show(line) for line in self.lines[-2:])


def analyze(diagnosis_input: DiagnosisInput, rules: Rules) -> Analysis:
    """Read the log and sort its contents."""
    marks = LogMarks(rules.ends)
    return analyze_start(read_log(diagnosis_input.lines, marks), diagnosis_input, rules, marks)


def analyze_start(
    summary: LogSummary, diagnosis_input: DiagnosisInput, rules: Rules, marks: LogMarks
) -> Analysis:
    """Sort what one start of the server left in the log."""
    tracebacks = sorted(summary.tracebacks, key=lambda traceback: traceback.severity is Severity.HANDLED)
    own = [one for one in tracebacks if not rules.is_consequence(one.root.summary)]
    consequences = [one for one in tracebacks if rules.is_consequence(one.root.summary)]
    exited = diagnosis_input.exit_code not in (0, None)
    lines = _telling_lines(summary, tracebacks, exited, rules)
    ended = summary.serving and (exited or _has_ended(summary, lines, tracebacks, rules))
    requests = [one for one in own if summary.serving and (one.severity is Severity.HANDLED or not ended)]
    errors = [line for line in lines if voice(line) is Voice.ERROR]
    engine = [line for line in diagnosis_input.engine_error.splitlines() if line.strip()]
    return Analysis(
        diagnosis_input,
        causes=tuple(one for one in own if one not in requests),
        consequences=tuple(consequences),
        request_failures=tuple(requests),
        lines=tuple(lines),
        error_lines=tuple(line for line in errors if not rules.is_consequence(line.text)),
        consequence_lines=tuple(line for line in errors if rules.is_consequence(line.text)),
        engine_lines=tuple(parse_line(StrippedLine(line)) for line in engine),
        facts=add_derived(summary.facts),
        summary=summary,
        marks=marks,
        ended=ended,
        died=any(rules.ends_server(line.text) for line in lines),
        refusals=tuple(refusals(requests, summary, rules)),
    )


def _telling_lines(
    summary: LogSummary, tracebacks: Iterable[Traceback], exited: bool, rules: Rules
) -> list[LogLine]:
    """Return the lines that can tell of a failure: the server did not go on after them."""
    failed = exited or any(one.severity is not Severity.HANDLED for one in tracebacks)
    survived = summary.last_answer if failed else max(summary.last_answer, summary.last_progress)
    resolved = {
        reason: max((line.number for line in summary.lines if later.search(line.text)), default=0)
        for reason, later in _LATER_EVENTS.items()
    }
    return [
        line
        for line in summary.lines
        if not (line.number < survived and _is_of_server(line))
        and not rules.is_non_fatal(line.text)
        and not _is_resolved_event(line, resolved)
    ]


def _is_resolved_event(line: LogLine, resolved: Mapping[str, int]) -> bool:
    """Whether a later event of Kubernetes shows that what this one reports was overcome."""
    return line.location == "kubernetes" and any(
        line.number < number and reason in line.text for reason, number in resolved.items()
    )


def _is_of_server(line: LogLine) -> bool:
    """Whether the line is a complaint of the server; events of Kubernetes or the kernel keep their own time."""
    return line.location != "kubernetes" and voice(line) is not Voice.PLAIN


def _is_failing_event(line: LogLine) -> bool:
    """Whether the line is a warning of Kubernetes, other than that of a probe while the server starts."""
    return line.location == "kubernetes" and " Unhealthy " not in line.text


def _has_ended(
    summary: LogSummary, lines: Iterable[LogLine], tracebacks: Iterable[Traceback], rules: Rules
) -> bool:
    """Whether a server that had served ended: a line says so, or an exception ended one of its processes."""
    last = [one for one in tracebacks if one.root.number >= summary.last_answer]
    texts = [line.text for line in lines]
    texts += [exception.summary for one in last for exception in one.exceptions]  # also of handled ones
    crashes = (one.root.summary for one in tracebacks if one.severity is Severity.FATAL)
    return any(map(rules.ends_server, texts)) or any(not _STOPPED.match(crash) for crash in crashes)


def exception_evidence(exception: RaisedException, match: re.Match[str]) -> tuple[str, ...]:
    """Return the exception, and the line of its message that matched if it is another one."""
    matched = matched_line(exception.text, match)
    lines = [exception.summary[:MAX_SHOWN]]
    if " ".join(matched.split())[:80] not in exception.summary:
        lines = [exception.lines[0][:MAX_SHOWN], matched]
    return tuple(with_process(exception.process_name, line) for line in lines)


def matched_line(text: str, match: re.Match[str]) -> str:
    """Return the line around a match, shortened."""
    begin = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    line = text[begin : end if end >= 0 else len(text)]
    start = max(0, match.start() - begin - 60) if len(line) > MAX_SHOWN else 0
    return line[start : start + MAX_SHOWN].strip()


def show(line: LogLine) -> str:
    """Format a log line, shortened."""
    return with_process(line.process_name, line.text.strip()[:MAX_SHOWN])


def with_process(process_name: str, text: str) -> str:
    """Put the name of the process before a text."""
    return f"({process_name}) {text}" if process_name else text
