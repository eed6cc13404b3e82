"""Find the rule that names the cause: the first failure of the first rank, not a consequence of it.

The searches run in order of trust: the container engine's error; root exceptions; a kill for memory; lines outside
tracebacks; broad rules; consequences that quote the cause; and last the exit code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from launch.diagnosis.analysis import (
    MAX_SHOWN,
    Analysis,
    RuleMatch,
    analyze,
    analyze_start,
    exception_evidence,
    matched_line,
    with_process,
)
from launch.diagnosis.exit_signals import match_signal
from launch.diagnosis.fallback import no_failure, unknown_failure
from launch.diagnosis.log_line import LogLine
from launch.diagnosis.rules import Rule, Rules, captured_values, fill, fill_cause, fill_change
from launch.diagnosis.types import Diagnosis, DiagnosisInput, Severity, Traceback

RuleFilter = Callable[[Rule], bool]

_ENGINE_ENDED = re.compile(
    r"Engine core initialization failed|EngineDeadError|WorkerProc initialization failed|died unexpectedly|"
    r"Engine process failed to start"
)


def match_input(diagnosis_input: DiagnosisInput, rules: Rules) -> Diagnosis:
    """Diagnose what a failed server left behind."""
    return _match(analyze(diagnosis_input, rules), rules)


def _match(analysis: Analysis, rules: Rules) -> Diagnosis:
    searches = [_engine_error, _narrow_causes, _memory_kill, _narrow_lines, _broad_rules]
    # If an exception ended the server, its consequences and its exit code do not explain it.
    searches += [] if analysis.has_fatal_cause else [_consequences, _exit_code, _silent_end]
    for search in searches:
        if result := search(analysis, rules):
            return _diagnosis(result, analysis.first_exception)
    if not analysis.healthy:
        return unknown_failure(analysis)
    previous = analysis.summary.previous
    return no_failure(
        analysis, _match(analyze_start(previous, analysis.input, rules), rules) if previous else None
    )


def _is_narrow(rule: Rule) -> bool:
    return not rule.broad


def _is_broad(rule: Rule) -> bool:
    return rule.broad


def _is_any(rule: Rule) -> bool:
    return True


def _engine_error(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    """Match the container engine's error: the container did not start."""
    text = "\n".join(line.text for line in analysis.engine_lines)
    for rule in sorted(rules.rules, key=_is_broad):
        if text and (match := rule.match(text)):
            return RuleMatch(rule, match, (matched_line(text, match),))
    return None


def _narrow_causes(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    return _match_causes(analysis, rules, _is_narrow)


def _match_causes(analysis: Analysis, rules: Rules, wanted: RuleFilter) -> RuleMatch | None:
    """Match the first known traceback. An unknown one that ended the server ends the search."""
    for traceback in analysis.causes:
        if traceback.severity is Severity.HANDLED and analysis.has_fatal_cause:
            break
        if result := _match_traceback(traceback, rules, wanted):
            return result
        if traceback.severity is Severity.FATAL:
            break
    return None


def _match_traceback(traceback: Traceback, rules: Rules, wanted: RuleFilter) -> RuleMatch | None:
    """Match one of the chained exceptions, the root first and handled lookups last."""
    for exception in sorted(traceback.exceptions, key=lambda exception: exception.was_lookup):
        for rule in filter(wanted, rules.rules):
            if match := rule.match(exception.text, exception.frames):
                return RuleMatch(rule, match, exception_evidence(exception, match))
    return None


def _memory_kill(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    if not analysis.input.oom_killed:
        return None
    return RuleMatch(rules.oom_killed, None, ("the engine reports: OOMKilled", *analysis.last_lines))


def _narrow_lines(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    """Match lines outside tracebacks: argument errors, GPU faults, NCCL's warnings."""
    return _match_lines(_explaining_lines(analysis, rules), rules, _is_narrow)


def _explaining_lines(analysis: Analysis, rules: Rules) -> list[LogLine]:
    """Return the lines that can explain the failure.

    If an exception ended the server, only lines that libraries printed before it can.
    """
    lines = [line for line in analysis.lines if not rules.is_consequence(line.text)]
    fatal = [one.root.number for one in analysis.causes if one.severity is not Severity.HANDLED]
    if not fatal:
        return lines
    before = (line for line in lines if line.number < min(fatal))
    return [line for line in before if not (line.from_vllm_logger and line.level == "ERROR")]


def _match_lines(lines: Iterable[LogLine], rules: Rules, wanted: RuleFilter) -> RuleMatch | None:
    without_frames = [rule for rule in filter(wanted, rules.rules) if not rule.frames]
    for line in lines:
        for rule in without_frames:
            if line.level == "WARNING" and not rule.warnings:
                continue
            if match := rule.match(line.text):
                evidence = with_process(line.process_name, matched_line(line.text, match))
                return RuleMatch(rule, match, (evidence,))
    return None


def _broad_rules(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    result = _match_causes(analysis, rules, _is_broad)
    if result or analysis.has_fatal_cause:
        return result
    return _match_lines(_explaining_lines(analysis, rules), rules, _is_broad)


def _consequences(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    """Match consequences: one may quote the cause, or name the signal that killed a rank."""
    for traceback in analysis.consequences:
        if result := _match_traceback(traceback, rules, _is_any):
            return result
    texts = [line.text for line in analysis.lines] + [one.root.text for one in analysis.consequences]
    signals = (result for text in texts if (result := match_signal(text, rules)))
    return next(signals, None) or _match_lines(analysis.lines, rules, _is_any)


def _exit_code(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    code = analysis.input.exit_code
    if code is None:
        return None
    rule = rules.signals.get(code - 128) or rules.exits.get(code)
    return RuleMatch(rule, None, (f"exit code {code}", *analysis.last_lines)) if rule else None


def _silent_end(analysis: Analysis, rules: Rules) -> RuleMatch | None:
    """Conclude from a complete log that contains only consequences that a process was killed.

    vLLM 0.32 names no signal: `kill -9` of the engine core leaves "Failed core proc(s): {}", that of a loading
    rank "WorkerProc initialization failed" without an exception of the rank (both observed on CPU).
    """
    roots = [one.root for one in analysis.consequences if _ENGINE_ENDED.search(one.root.summary)]
    printed = any(not line.level for line in analysis.error_lines)
    if not analysis.summary.has_beginning or not roots or printed:
        return None
    evidence = with_process(roots[0].process_name, roots[0].summary[:MAX_SHOWN])
    return RuleMatch(rules.silent_end, None, (evidence, "no process left an error of its own"))


def _diagnosis(result: RuleMatch, first_exception: str) -> Diagnosis:
    rule, values = result.rule, captured_values(result.match)
    change = fill_change(rule, values)
    return Diagnosis(
        rule.id,
        fill_cause(rule.cause, values),
        result.evidence,
        fill(rule.fix, values),
        change,
        safe=rule.safe and change is not None,
        known=True,
        first_exception=first_exception,
        source=rule.source,
    )
