"""The result if no rule matches: what the log shows, and that the cause is unknown."""

from __future__ import annotations

from launch.diagnosis.analysis import MAX_SHOWN, Analysis, show, with_process
from launch.diagnosis.types import Diagnosis, Traceback

_FIX = "read the lines above the first exception (invoke logs), and search vLLM's issues for it"


def no_failure(analysis: Analysis, previous: Diagnosis | None) -> Diagnosis:
    """Report that this start did not fail, although the start before it or single requests may have failed."""
    if previous:
        cause = f"no failure in the newest start, which serves; the start before it failed: {previous.cause}"
        return Diagnosis("", cause, previous.evidence)
    lines = tuple(line for traceback in analysis.request_failures[:1] for line in _root_and_last(traceback))
    loading = analysis.summary.has_beginning and not analysis.summary.serving
    return Diagnosis("", _no_failure_cause(analysis), lines or (analysis.last_lines[-1:] if loading else ()))


def _no_failure_cause(analysis: Analysis) -> str:
    if analysis.summary.empty:
        return "the log is empty"
    if analysis.summary.has_beginning and not analysis.summary.serving:
        return "no failure in this log, but it ends before the server is ready"
    if analysis.request_failures:
        return "no failure of the server in this log; only single requests failed"
    return "no failure in this log"


def unknown_failure(analysis: Analysis) -> Diagnosis:
    """Report that the cause is unknown, with the lines that tell most."""
    first = analysis.first_exception
    return Diagnosis("", _unknown_cause(analysis, first), _lines(analysis), _FIX, first_exception=first)


def _unknown_cause(analysis: Analysis, first: str) -> str:
    consequences = analysis.consequences or (analysis.consequence_lines and not analysis.error_lines)
    if analysis.unfinished:
        return "the log ends inside a traceback, before its exception; the innermost frame is shown"
    if consequences and not analysis.causes:
        return "the log contains only consequences, not their cause"
    if not first and not analysis.engine_lines:
        return f"the server exited with code {analysis.input.exit_code} and left no error in its log"
    return "unknown cause; the first exception is shown"


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
