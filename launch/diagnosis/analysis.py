"""Sort what a log contains for matching: causes and consequences, tracebacks and single lines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.diagnosis.log_line import LogLine, parse_line
from launch.diagnosis.log_prefixes import StrippedLine
from launch.diagnosis.log_reader import read_log
from launch.diagnosis.log_summary import LogSummary
from launch.diagnosis.rules import Rule, Rules
from launch.diagnosis.types import DiagnosisInput, RaisedException, Severity, Traceback

_EXCEPTION = re.compile(r"(?:^|\s)(?:\w+\.)*(?:[A-Z]\w*)?(?:[Ee]rror|[Ee]xception): \S")
_NATIVE_ERROR = re.compile(r"(?i)\W*(?:\w+[ _])?(?:error|fatal)(?: error)?\s?[:|]|docker: Error")
MAX_SHOWN = 500  # characters of a line


@dataclass(frozen=True)
class RuleMatch:
    """A rule that matches, where it matches, and the lines that show it."""

    rule: Rule
    match: re.Match[str] | None
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """`causes` are tracebacks that no other explains, `consequences` those that only report another one.

    `error_lines` and `consequence_lines` are the same for lines outside tracebacks. `request_failures` are
    tracebacks that a serving server reported to its clients.
    """

    input: DiagnosisInput
    causes: tuple[Traceback, ...]
    consequences: tuple[Traceback, ...]
    request_failures: tuple[Traceback, ...]
    lines: tuple[LogLine, ...]
    error_lines: tuple[LogLine, ...]
    consequence_lines: tuple[LogLine, ...]
    engine_lines: tuple[LogLine, ...]
    summary: LogSummary

    @property
    def has_fatal_cause(self) -> bool:
        """Whether an exception ended the server; what comes after it in the log does not explain it."""
        return any(traceback.severity is not Severity.HANDLED for traceback in self.causes)

    @property
    def healthy(self) -> bool:
        """Whether log and exit code show a server that goes on; at most single requests failed."""
        problems = self.error_lines or self.consequence_lines or self.engine_lines or self.unfinished
        return not (self.causes or self.consequences or problems) and self.input.exit_code in (0, None)

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
        return next((line.text.strip() for line in self.error_lines + self.consequence_lines), "")[:MAX_SHOWN]

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last two lines above the level INFO."""
        return tuple(show(line) for line in self.lines[-2:])


def analyze(diagnosis_input: DiagnosisInput, rules: Rules) -> Analysis:
    """Read the log and sort its contents."""
    return analyze_start(read_log(diagnosis_input.lines), diagnosis_input, rules)


def analyze_start(summary: LogSummary, diagnosis_input: DiagnosisInput, rules: Rules) -> Analysis:
    """Sort what one start of the server left in the log."""
    tracebacks = sorted(summary.tracebacks, key=lambda traceback: traceback.severity is Severity.HANDLED)
    own = [traceback for traceback in tracebacks if not rules.is_consequence(traceback.root.summary)]
    requests = [one for one in own if summary.serving and one.severity is Severity.HANDLED]
    lines = [
        line
        for line in summary.lines
        if not (_precedes_answer(line, summary) or rules.is_non_fatal(line.text))
    ]
    errors = list(filter(_reports_error, lines))
    return Analysis(
        diagnosis_input,
        tuple(own[: len(own) - len(requests)]),
        tuple(traceback for traceback in tracebacks if rules.is_consequence(traceback.root.summary)),
        tuple(requests),
        tuple(lines),
        tuple(line for line in errors if not rules.is_consequence(line.text)),
        tuple(line for line in errors if rules.is_consequence(line.text)),
        tuple(
            parse_line(StrippedLine(line))
            for line in diagnosis_input.engine_error.splitlines()
            if line.strip()
        ),
        summary,
    )


def _precedes_answer(line: LogLine, summary: LogSummary) -> bool:
    """Whether a request was answered after vLLM logged this error."""
    return line.from_vllm_logger and line.level == "ERROR" and line.number < summary.last_answer


def _reports_error(line: LogLine) -> bool:
    """Whether the line is a logged error, or an exception without its traceback."""
    if line.level:
        return line.level in ("ERROR", "CRITICAL")
    return _EXCEPTION.search(line.text) is not None or _NATIVE_ERROR.match(line.text) is not None


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
