"""The result if no rule matches: what the log shows, and that the cause is unknown or that nothing failed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from launch.diagnosis.analysis import MAX_SHOWN, Analysis, show, with_process
from launch.diagnosis.complaints import is_native_warning
from launch.diagnosis.log_line import LogLine
from launch.diagnosis.rule_values import captured_values, fill
from launch.diagnosis.rules import Rules, Wait, exact
from launch.diagnosis.types import Diagnosis, Outcome, Traceback

_FIX = "read the lines above the first exception (invoke logs), and search vLLM's issues for it"
_VERSIONS = ("vllm", "torch", "platform")
_MAX_WARNINGS = 3
_TIME = re.compile(r"(?<![\d:])(?:\d\d-\d\d )?\d\d:\d\d:\d\d")


def foreign_log(analysis: Analysis) -> Diagnosis:
    """Report that the log is not of a vLLM server, whatever it complains about."""
    program = analysis.marks.program
    name = f"the log of {program}" if program else "no line of it names vLLM or one of its libraries"
    lines = _lines(analysis)[:1]
    fix = "pass the log of the vLLM server: invoke diagnose FILE, or invoke diagnose CONTAINER"
    return Diagnosis("", f"this is not a vLLM log: {name}", lines, fix, outcome=Outcome.FOREIGN)


def no_failure(analysis: Analysis, rules: Rules, previous: Diagnosis | None = None) -> Diagnosis:
    """Report that this start did not fail, although the start before it or single requests may have failed."""
    if previous and previous.first_exception:
        cause = f"no failure in the newest start, which serves; the start before it failed: {previous.cause}"
        return Diagnosis("", cause, previous.evidence, outcome=Outcome.HEALTHY)
    if not analysis.summary.serving:
        if waiting := _waiting(analysis, rules):
            return waiting
        if analysis.unread:
            return unread_complaint(analysis, analysis.unread)
    handled = (*analysis.request_failures, *analysis.causes)[:1]
    lines = tuple(line for traceback in handled for line in _root_and_last(traceback))
    complaints = tuple(show(line) for line in (*analysis.error_lines, *analysis.consequence_lines)[:2])
    return Diagnosis(
        "",
        _no_failure_cause(analysis, bool(complaints)),
        lines or complaints,
        outcome=Outcome.HEALTHY,
        versions=versions(analysis),
    )


def _no_failure_cause(analysis: Analysis, complains: bool) -> str:
    if analysis.summary.empty:
        return "the log is empty"
    if analysis.request_failures:
        return "no failure of the server in this log; only single requests failed"
    if analysis.causes:
        return "no failure of the server in this log, although an exception was raised in it and handled"
    if complains:
        return "no failure of the server in this log; it goes on after the errors that it logged"
    return "no failure in this log"


def _first_of(tail: tuple[str, ...], pattern: str) -> str:
    """Return the first of the lines at the end of the log that match: the wait began with it."""
    return next((line for line in tail if exact(pattern).search(line)), "")


def unread_complaint(analysis: Analysis, line: LogLine) -> Diagnosis:
    """Report that a part of a log shows no running server, and a complaint that no rule reads."""
    return Diagnosis(
        "",
        "unknown: this log shows no start and no request, and no rule reads its last complaint",
        (show(line),),
        "diagnose the whole log of the server, from its first line: invoke diagnose FILE, or invoke diagnose CONTAINER",
        first_exception=line.text.strip()[:MAX_SHOWN],
        outcome=Outcome.UNKNOWN,
        versions=versions(analysis),
    )


def _waiting(analysis: Analysis, rules: Rules) -> Diagnosis | None:
    """Report a start that goes on: what it waits for, since when, and what to check."""
    cause = "the log ends before the server is ready, and shows no failure so far"
    if analysis.unread:
        cause = "the log ends before the server is ready; no rule reads its last complaint"
    last = (show(analysis.unread),) if analysis.unread else ()
    if found := _last_wait(analysis.summary.tail, rules):
        wait, match, line = found
        what = f"{cause}; it waits for {fill(wait.waits_for, captured_values(match))}"
        since = _TIME.search(_first_of(analysis.summary.tail, wait.pattern) or line)
        cause = f"{what}, since {since[0]}" if since else what
        return Diagnosis("", cause, (line.strip(), *last), wait.fix, outcome=Outcome.WAITING)
    if not analysis.summary.has_beginning:
        return None
    return Diagnosis("", cause, last or analysis.last_lines[-1:], outcome=Outcome.WAITING)


def _last_wait(tail: tuple[str, ...], rules: Rules) -> tuple[Wait, re.Match[str], str] | None:
    """Return the last line that tells for what the start waits; a general one only if there is no other."""
    waits = rules.ends.waits
    for general in (False, True):
        chosen = [wait for wait in waits if wait.general is general]
        for place in reversed(range(len(tail))):
            for wait in chosen:
                match = exact(wait.pattern).search(tail[place])
                if match and not (wait.over and _first_of(tail[place + 1 :], wait.over)):
                    return wait, match, tail[place]
    return None


def unknown_failure(analysis: Analysis, rules: Rules) -> Diagnosis:
    """Report that the cause is unknown, with the lines that tell most."""
    first = analysis.first_exception
    return Diagnosis(
        "",
        _unknown_cause(analysis, first),
        _lines(analysis),
        _FIX,
        first_exception=first,
        outcome=Outcome.UNKNOWN,
        warnings=_native_warnings(analysis),
        versions=versions(analysis),
    )


def failing_requests(analysis: Analysis) -> Diagnosis:
    """Report that the server runs and fails to answer requests."""
    failed = (*analysis.refusals, *analysis.request_failures)[:1]
    shown = "the first exception is shown" if failed else "the log shows no exception"
    return Diagnosis(
        "",
        f"the server runs, but requests to it fail; the cause is unknown, and {shown}",
        tuple(line for one in failed for line in _root_and_last(one)),
        "search vLLM's issues for the exception; if it names a parser or template, check that option",
        first_exception=failed[0].root.summary[:MAX_SHOWN] if failed else "",
        outcome=Outcome.UNKNOWN,
        versions=versions(analysis),
    )


def versions(analysis: Analysis) -> Mapping[str, str]:
    """Return the versions and the platform that the log names."""
    return {name: analysis.facts[name] for name in _VERSIONS if name in analysis.facts}


def _unknown_cause(analysis: Analysis, first: str) -> str:
    consequences = analysis.consequences or (analysis.consequence_lines and not analysis.error_lines)
    if analysis.unfinished:
        return "the log ends inside a traceback, before its exception; the innermost frame is shown"
    if consequences and not analysis.causes:
        return "the log contains only consequences, not their cause"
    if not first and not analysis.engine_lines:
        code = analysis.input.exit_code
        return f"the server exited{'' if code is None else f' with code {code}'} and left no error in its log"
    return "unknown cause; the first exception is shown"


def _native_warnings(analysis: Analysis) -> tuple[str, ...]:
    """Return the last warnings of native libraries above the failure: they often tell more than the exception."""
    fatal = analysis.fatal_cause
    above = [line for line in analysis.lines if not fatal or line.number < fatal.root.number]
    shown = dict.fromkeys(show(line) for line in above if is_native_warning(line))
    return tuple(shown)[-_MAX_WARNINGS:]


def _lines(analysis: Analysis) -> tuple[str, ...]:
    if analysis.engine_lines:
        return tuple(line.text[:MAX_SHOWN] for line in analysis.engine_lines[:3])
    if tracebacks := analysis.causes or analysis.consequences:
        return _root_and_last(tracebacks[0])
    if analysis.unfinished:
        return (analysis.unfinished[:MAX_SHOWN],)
    if lines := analysis.error_lines or analysis.consequence_lines:
        return (show(lines[0]),)
    return analysis.last_lines


def _root_and_last(traceback: Traceback) -> tuple[str, ...]:
    """Return the root exception and the last exception of the chain."""
    ends = (traceback.root, traceback.exceptions[-1])
    lines = (with_process(exception.process_name, exception.summary[:MAX_SHOWN]) for exception in ends)
    return tuple(dict.fromkeys(lines))
