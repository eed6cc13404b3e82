"""From what was read to the cause: the first failure of the first rank, never what followed from it.

The order of search is the order of trust: what the engine said; the root exception; a kill for memory; lines
outside any traceback; then broad rows; then words that consequences carry; and last how the process ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from launch.diagnosis.analysis import SHOWN, Case, Found, case_of, line_of, open_case, proof, shown
from launch.diagnosis.exit_signals import signalled
from launch.diagnosis.fallback import healthy, unknown
from launch.diagnosis.log_line import Record
from launch.diagnosis.rules import Symptom, Table, captured, change_of, filled, told
from launch.diagnosis.traceback_model import Failure, Weight
from launch.diagnosis.types import Diagnosis, Evidence

Wanted = Callable[[Symptom], bool]

_ENGINE_GONE = re.compile(
    r"Engine core initialization failed|EngineDeadError|WorkerProc initialization failed|died unexpectedly|"
    r"Engine process failed to start"
)


def judge(evidence: Evidence, table: Table) -> Diagnosis:
    """Name the cause of what the evidence shows."""
    return _judged(open_case(evidence, table), table)


def _judged(case: Case, table: Table) -> Diagnosis:
    looks = [_at_engine, _at_causes, _at_kill, _at_lines, _broadly]
    looks += [] if case.unexplained else [_at_followers, _at_exit, _at_silence]
    for look in looks:
        if found := look(case, table):
            return _diagnosis(found, case.first_exception)
    if not case.healthy:
        return unknown(case)
    earlier = case.reading.earlier
    return healthy(case, _judged(case_of(earlier, case.evidence, table), table) if earlier else None)


def _narrow(symptom: Symptom) -> bool:
    return not symptom.broad


def _broad(symptom: Symptom) -> bool:
    return symptom.broad


def _any(symptom: Symptom) -> bool:
    return True


def _at_engine(case: Case, table: Table) -> Found | None:
    """The container did not even start: the engine's own words count."""
    text = "\n".join(record.text for record in case.engine)
    for symptom in sorted(table.symptoms, key=_broad):
        if text and (match := symptom.match(text)):
            return Found(symptom, match, (line_of(text, match),))
    return None


def _at_causes(case: Case, table: Table) -> Found | None:
    return _first_known(case, table, _narrow)


def _first_known(case: Case, table: Table, wanted: Wanted) -> Found | None:
    """The first failure that a row knows; one that ended the server and that no row knows ends the search."""
    for failure in case.causes:
        if failure.weight is Weight.HANDLED and case.unexplained:
            break
        if found := _known(failure, table, wanted):
            return found
        if failure.weight is Weight.FATAL:
            break
    return None


def _known(failure: Failure, table: Table, wanted: Wanted) -> Found | None:
    """The row that knows one of the chained exceptions, the root first; what was only tried comes last."""
    for raised in sorted(failure.chain, key=lambda raised: raised.probe):
        for symptom in filter(wanted, table.symptoms):
            if match := symptom.match(raised.text, raised.frames):
                return Found(symptom, match, proof(raised, match))
    return None


def _at_kill(case: Case, table: Table) -> Found | None:
    if not case.evidence.oom_killed:
        return None
    return Found(table.oom_killed, None, ("the engine reports: OOMKilled", *case.last_words))


def _at_lines(case: Case, table: Table) -> Found | None:
    """Lines outside any traceback: argument errors, GPU faults, NCCL's own warnings."""
    return _in_lines(_own_lines(case, table), table, _narrow)


def _own_lines(case: Case, table: Table) -> list[Record]:
    """Where an exception ended the server, only what libraries said before it may tell why."""
    lines = [record for record in case.lines if not table.is_consequence(record.text)]
    ends = [failure.root.number for failure in case.causes if failure.weight is not Weight.HANDLED]
    if not ends:
        return lines
    before = (record for record in lines if record.number < min(ends))
    return [record for record in before if not (record.logged and record.level == "ERROR")]


def _in_lines(lines: Iterable[Record], table: Table, wanted: Wanted) -> Found | None:
    rows = [symptom for symptom in filter(wanted, table.symptoms) if not symptom.frames]
    for record in lines:
        for symptom in rows:
            if record.level == "WARNING" and not symptom.warnings:
                continue
            if match := symptom.match(record.text):
                return Found(symptom, match, (shown(record.who, line_of(record.text, match)),))
    return None


def _broadly(case: Case, table: Table) -> Found | None:
    found = _first_known(case, table, _broad)
    return found if found or case.unexplained else _in_lines(_own_lines(case, table), table, _broad)


def _at_followers(case: Case, table: Table) -> Found | None:
    """Only consequences are left: one may still carry the cause's words, or the signal that killed a rank."""
    for failure in case.followers:
        if found := _known(failure, table, _any):
            return found
    texts = [record.text for record in case.lines] + [failure.root.text for failure in case.followers]
    signals = (found for text in texts if (found := signalled(text, table)))
    return next(signals, None) or _in_lines(case.lines, table, _any)


def _at_exit(case: Case, table: Table) -> Found | None:
    code = case.evidence.exit_code
    if code is None:
        return None
    symptom = table.signals.get(code - 128) or table.exits.get(code)
    return Found(symptom, None, (f"exit code {code}", *case.last_words)) if symptom else None


def _at_silence(case: Case, table: Table) -> Found | None:
    """A whole log in which all only report another's end: that one was killed.

    vLLM 0.32 names no signal: `kill -9` of the engine core leaves "Failed core proc(s): {}", that of a loading
    rank "WorkerProc initialization failed" without an exception of the rank (both seen on CPU).
    """
    ends = [failure.root for failure in case.followers if _ENGINE_GONE.search(failure.root.head)]
    if not case.reading.begun or not ends or any(not record.level for record in case.complaints):
        return None
    words = (shown(ends[0].who, ends[0].head[:SHOWN]), "no process left an error of its own")
    return Found(table.silence, None, words)


def _diagnosis(found: Found, first: str) -> Diagnosis:
    symptom, words = found.symptom, captured(found.match)
    change = change_of(symptom, words)
    cause, fix = told(symptom.cause, words), filled(symptom.fix, words)
    safe = symptom.safe and change is not None
    return Diagnosis(symptom.id, cause, found.proof, fix, change, safe, True, first, symptom.source)
