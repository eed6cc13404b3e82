"""Find the rule that names the cause: the first failure of the first rank, not a consequence of it.

The searches run in order of trust: the container engine's error; exceptions, with the lines that explain them; a
kill for memory; lines outside tracebacks, if no exception ended the server; consequences that quote the cause; and
last the exit code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from launch.diagnosis.analysis import (
    MAX_SHOWN,
    Analysis,
    analyze,
    analyze_start,
    matched_line,
    with_process,
)
from launch.diagnosis.candidates import (
    Candidate,
    Context,
    best,
    match_exception,
    match_explaining_lines,
    match_line,
    match_text,
)
from launch.diagnosis.exit_signals import match_signal
from launch.diagnosis.fallback import failing_requests, foreign_log, no_failure, unknown_failure, versions
from launch.diagnosis.rule_values import captured_values, fill, fill_cause, fill_change, options_not_given
from launch.diagnosis.rules import Rules
from launch.diagnosis.types import (
    Confidence,
    Diagnosis,
    DiagnosisInput,
    Outcome,
    RaisedException,
    Severity,
    Traceback,
)

_QUOTES_ERROR = re.compile(r"failed with error ['\"]\w")
_STALLED_REPORTS = 3  # one each 10 seconds: no request waits that long if any can be scheduled
_NOT_GIVEN = (
    "the log shows that {} was not given, so vLLM chose this by itself: use a newer image (invoke pin, or "
    "invoke run --image), or set the option to another value"
)
_ENGINE_ENDED = re.compile(
    r"Engine core initialization failed|EngineDeadError|WorkerProc initialization failed|died unexpectedly|"
    r"Engine process failed to start"
)


def match_input(diagnosis_input: DiagnosisInput, rules: Rules) -> Diagnosis:
    """Diagnose what a failed server left behind."""
    return _match(analyze(diagnosis_input, rules), rules)


def _match(analysis: Analysis, rules: Rules) -> Diagnosis:
    if analysis.is_foreign:
        return _foreign(analysis, rules)
    serves = analysis.healthy and analysis.summary.serving
    found = _failing_requests(analysis, rules) if serves else _failed_start(analysis, rules)
    if found:
        return found
    previous = analysis.summary.previous
    if not previous:
        return _with_cause_of_errors(no_failure(analysis, rules), analysis, rules)
    before = analyze_start(previous, analysis.input, rules, analysis.marks)
    return no_failure(analysis, rules, _match(before, rules))


def _foreign(analysis: Analysis, rules: Rules) -> Diagnosis:
    """Report another program's log. A few lines of vLLM may lack its name: a row that matches is named as a guess."""
    foreign = foreign_log(analysis)
    guess = None if analysis.marks.program else _failed_start(analysis, rules)
    if not guess or not guess.known or guess.confidence is Confidence.LOW:
        return foreign
    cause = f"{foreign.cause}; if these lines are of a vLLM server after all: {guess.cause}"
    return replace(foreign, cause=cause, evidence=guess.evidence)


def _failed_start(analysis: Analysis, rules: Rules) -> Diagnosis | None:
    """Name why a server does not run; None if it may still start."""
    for found, confidence in _search(analysis, rules):
        if found:
            return _diagnosis(found, confidence, analysis)
    return None if analysis.healthy else unknown_failure(analysis, rules)


def _failing_requests(analysis: Analysis, rules: Rules) -> Diagnosis | None:
    """Name why a server that runs fails to answer; None if it answers, or if only clients are to blame."""
    summary = analysis.summary
    refused = summary.last_refusal > max(summary.last_answer, summary.last_activity)
    if summary.idle_waits >= _STALLED_REPORTS:
        stalled = Candidate(rules.ends.unscheduled, None, (summary.idle_report[:MAX_SHOWN],))
        return _diagnosis(stalled, Confidence.MEDIUM, analysis)
    if not (analysis.refusals or refused):
        return None
    failed = analysis.refusals or (analysis.request_failures[-1:] if refused else ())
    each = (_match_traceback(one, analysis, rules) for one in failed)
    found = next((one for one in each if one), None) or (best_line(analysis, rules) if refused else None)
    return _diagnosis(found, Confidence.MEDIUM, analysis) if found else failing_requests(analysis)


def _with_cause_of_errors(healthy: Diagnosis, analysis: Analysis, rules: Rules) -> Diagnosis:
    """Add why single requests failed, or what a server that has not answered any complains about, if a row names it."""
    each = (_match_traceback(one, analysis, rules) for one in analysis.request_failures)
    found = next((one for one in each if one and not one.rule.family), None)
    if not found and analysis.summary.serving and not analysis.summary.answers:
        found = best_line(analysis, rules)
    if not found or found.rule.family:
        return healthy
    values = captured_values(found.match)
    server = healthy.cause.replace("no failure in", "no failure of the server in")
    cause = f"{server}: {fill_cause(found.rule.cause, values)}"
    return replace(healthy, cause=cause, evidence=found.evidence, fix=fill(found.rule.fix, values))


def _search(analysis: Analysis, rules: Rules) -> Iterator[tuple[Candidate | None, Confidence]]:
    """Yield what each search finds, the most trusted first, and how sure that is."""
    yield _engine_error(analysis, rules), Confidence.HIGH
    exception = _causes(analysis, rules)
    by_line = exception is not None and exception.by_line
    specific = None if exception and exception.rule.family else exception
    yield specific, Confidence.MEDIUM if by_line else Confidence.HIGH
    yield _memory_kill(analysis, rules), Confidence.HIGH
    if not analysis.fatal_cause:
        yield best_line(analysis, rules), Confidence.MEDIUM
    yield exception, Confidence.MEDIUM
    if not analysis.fatal_cause:  # otherwise, its consequences and its exit code do not explain it
        for search in (_consequences, _exit_code, _silent_end, _last_warning):
            yield search(analysis, rules), Confidence.LOW


def _engine_error(analysis: Analysis, rules: Rules) -> Candidate | None:
    """Match the container engine's error: the container did not start."""
    text = "\n".join(line.text for line in analysis.engine_lines)
    return best(
        Candidate(rule, match, (matched_line(text, match),))
        for rule, match in match_text(text, Context(), rules)
    )


def _causes(analysis: Analysis, rules: Rules) -> Candidate | None:
    """Match the first known traceback. An unknown one that ended the server ends the search.

    A rule that gives way is kept until a later traceback has one that does not; it does not answer for an earlier
    exception that no rule knows.
    """
    kept: Candidate | None = None
    unread = False  # an earlier exception that no rule knows
    for traceback in analysis.causes:
        if traceback.severity is Severity.HANDLED and (analysis.fatal_cause or not analysis.exiting):
            break
        found = _match_traceback(traceback, analysis, rules)
        if found and not (found.rule.family or found.rule.gives_way):
            return found
        unread = unread or (found is None and traceback.severity is not Severity.HANDLED)
        if kept is None or (kept.rule.gives_way and found and not found.rule.gives_way):
            kept = None if found and found.rule.gives_way and unread else found
        if traceback.severity is Severity.FATAL and not (found and found.rule.gives_way):
            break
    return kept


def _match_traceback(traceback: Traceback, analysis: Analysis, rules: Rules) -> Candidate | None:
    """Match one of the chained exceptions, the root first and handled lookups last, and what explains them."""
    facts = analysis.facts
    own = None
    for lookups in (False, True):
        chain = [exception for exception in traceback.exceptions if exception.was_lookup is lookups]
        each = [match_exception(exception, traceback, facts, rules) for exception in chain]
        specific = next((one for one in map(best, each) if one and not one.rule.family), None)
        own = own or _with_unread(specific, chain, each) or best(one for group in each for one in group)
    lines = (line for line in analysis.lines if not rules.is_consequence(line.text))
    if own and not own.rule.family and not own.rule.yields_to:
        return own
    explaining = match_explaining_lines(lines, traceback, facts, rules)
    if own and not own.rule.family:
        return best(one for one in explaining if one.rule.id in own.rule.yields_to) or own
    explained = best(explaining)
    return explained if explained and (own is None or _tells_more(explained, own)) else own


def _tells_more(explained: Candidate, own: Candidate) -> bool:
    """Whether a line above an exception of a family tells more than the exception itself."""
    return not explained.rule.family or own.rule.gives_way or explained.rule.id in own.rule.yields_to


def _with_unread(
    found: Candidate | None, chain: list[RaisedException], each: list[list[Candidate]]
) -> Candidate | None:
    """Add the root of the chain if no rule reads it: what follows from it does not surely tell the cause."""
    if not found or not chain or each[0] or chain[0].caught:
        return found
    root = chain[0]
    message = root.lines[0].partition(": ")[2].strip()
    wrapped = bool(message) and any(message in one.text for one in chain[1:])
    return (
        found if wrapped else replace(found, unread=with_process(root.process_name, root.summary[:MAX_SHOWN]))
    )


def _memory_kill(analysis: Analysis, rules: Rules) -> Candidate | None:
    if not analysis.input.oom_killed:
        return None
    return Candidate(rules.ends.oom_killed, None, ("the engine reports: OOMKilled", *analysis.last_lines))


def best_line(analysis: Analysis, rules: Rules) -> Candidate | None:
    """Return the first line outside tracebacks with a rule of its own, else the first of a family."""
    found = [one for one in _line_candidates(analysis, rules) if one]
    first = next((one for one in found if not one.rule.family), found[0] if found else None)
    if first and first.rule.yields_to:
        first = next((one for one in found if one.rule.id in first.rule.yields_to), first)
    same = [one for one in found if first and one.rule.id == first.rule.id]
    return max(
        same, key=lambda one: len(captured_values(one.match)), default=None
    )  # the first that tells most


def _line_candidates(analysis: Analysis, rules: Rules, gives_way: bool = False) -> Iterator[Candidate | None]:
    for line in analysis.lines:
        if analysis.went_on_after(line):
            continue
        if gives_way or not rules.is_consequence(line.text):
            matches = match_line(line, analysis.facts, analysis.summary.phase, rules)
            yield best(one for one in matches if one.rule.gives_way is gives_way)


def _consequences(analysis: Analysis, rules: Rules) -> Candidate | None:
    """Match consequences: one may quote the cause, or name the signal that killed a rank."""
    for traceback in analysis.consequences:
        if found := _match_traceback(traceback, analysis, rules):
            return found
    texts = [line.text for line in analysis.lines] + [one.root.text for one in analysis.consequences]
    signals = (found for text in texts if (found := match_signal(text, rules)))
    lines = (best(match_line(line, analysis.facts, analysis.summary.phase, rules)) for line in analysis.lines)
    return next(signals, None) or next((one for one in lines if one), None)


def _exit_code(analysis: Analysis, rules: Rules) -> Candidate | None:
    code = analysis.input.exit_code
    if code is None:
        return None
    rule = rules.ends.signals.get(code - 128) or rules.ends.exits.get(code)
    return Candidate(rule, None, (f"exit code {code}", *analysis.last_lines)) if rule else None


def _last_warning(analysis: Analysis, rules: Rules) -> Candidate | None:
    """Match a warning that gives way to every other evidence: the end of another process."""
    found = _line_candidates(analysis, rules, gives_way=True)
    return next((one for one in found if one and one.rule.warnings), None)


def _silent_end(analysis: Analysis, rules: Rules) -> Candidate | None:
    """Conclude from a complete log that contains only consequences that a process was killed.

    vLLM 0.32 names no signal: `kill -9` of the engine core leaves "Failed core proc(s): {}", that of a loading
    rank "WorkerProc initialization failed" without an exception of the rank (both observed on CPU).
    """
    roots = [one.root for one in analysis.consequences if _ENGINE_ENDED.search(one.root.summary)]
    texts = [one.root.text for one in analysis.consequences]
    if any(_QUOTES_ERROR.search(text) for text in texts):
        return None
    printed = any(not line.level for line in analysis.error_lines)
    if not analysis.summary.has_beginning or not roots or printed:
        return None
    evidence = with_process(roots[0].process_name, roots[0].summary[:MAX_SHOWN])
    return Candidate(rules.ends.silent_end, None, (evidence, "no process left an error of its own"))


def _diagnosis(found: Candidate, confidence: Confidence, analysis: Analysis) -> Diagnosis:
    rule = found.rule
    values = {**({"place": found.place} if found.place else {}), **captured_values(found.match)}
    doubtful = bool(found.alternatives or found.unread)
    absent = options_not_given(rule, analysis.facts)
    change = None if absent else fill_change(rule, values)
    return Diagnosis(
        rule.id,
        fill_cause(rule.cause, values),
        (*((found.unread,) if found.unread else ()), *found.evidence),
        _NOT_GIVEN.format(absent) if absent else fill(rule.fix, values),
        change,
        safe=rule.safe and change is not None and not doubtful,
        known=True,
        first_exception=analysis.first_exception,
        source=rule.source,
        outcome=Outcome.NAMED,
        confidence=Confidence.LOW if doubtful else confidence,
        alternatives=found.alternatives,
        versions=versions(analysis),
    )
