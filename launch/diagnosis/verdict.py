"""From what was read to the cause: the first failure of the first rank, never what followed from it.

The order of search is the order of trust: what the engine said; the root exception; a kill for memory; lines
outside any traceback; then broad rows; then words that consequences carry; and last how the process ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from launch.diagnosis.case import SHOWN, Case, Found, line_of, open_case, proof, shown
from launch.diagnosis.evidence import Diagnosis, Evidence
from launch.diagnosis.failure import Failure, Weight
from launch.diagnosis.record import Record
from launch.diagnosis.symptoms import Symptom, Table, captured, change_of, filled

Wanted = Callable[[Symptom], bool]

_SIGNAL = re.compile(
    r"exit ?code:? ?-(\d+)|Failed core proc\(s\): \{[^}]*?: -(\d+)|worker died \(-(\d+)\)|"
    r"(?:terminated|killed|died) (?:by|with|due to|from) signal:? (\d+)",
    re.IGNORECASE,
)

_ENGINE_GONE = re.compile(
    r"Engine core initialization failed|EngineDeadError|WorkerProc initialization failed|died unexpectedly"
)


def judge(evidence: Evidence, table: Table) -> Diagnosis:
    """Name the cause of what the evidence shows."""
    case = open_case(evidence, table)
    looks = [_at_engine, _at_causes, _at_kill, _at_lines, _broadly]
    looks += [] if case.unexplained else [_at_followers, _at_exit, _at_silence]
    for look in looks:
        if found := look(case, table):
            return _diagnosis(found, case.first_exception)
    return _unknown(case)


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
        if found := _known(failure, table, wanted):
            return found
        if failure.weight is Weight.FATAL:
            break
    return None


def _known(failure: Failure, table: Table, wanted: Wanted) -> Found | None:
    """The row that knows one of the chained exceptions, the root first."""
    for raised in failure.chain:
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
    return [record for record in case.lines if not table.is_consequence(record.text)]


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
    signals = (found for text in texts if (found := _signal(text, table)))
    return next(signals, None) or _in_lines(case.lines, table, _any)


def _signal(text: str, table: Table) -> Found | None:
    for match in _SIGNAL.finditer(text):
        symptom = table.signals.get(int(next(group for group in match.groups() if group)))
        if symptom:
            return Found(symptom, None, (line_of(text, match),))
    return None


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
    symptom = table.signals[9]
    ends = [failure.root for failure in case.followers if _ENGINE_GONE.search(failure.root.head)]
    if not case.begun or not ends:
        return None
    return Found(
        symptom, None, (shown(ends[0].who, ends[0].head[:SHOWN]), "no process left an error of its own")
    )


def _diagnosis(found: Found, first: str) -> Diagnosis:
    symptom, words = found.symptom, captured(found.match)
    change = change_of(symptom, words)
    cause, cure = filled(symptom.cause, words), filled(symptom.cure, words)
    safe = symptom.safe and change is not None
    return Diagnosis(symptom.id, cause, found.proof, cure, change, safe, True, first, symptom.source)


def _unknown(case: Case) -> Diagnosis:
    """Say so, and show what there is."""
    failures, first, code = case.causes or case.followers, case.first_exception, case.evidence.exit_code
    if not first and not case.engine and code in (0, None):
        return Diagnosis("", "no failure in this log")
    words = tuple(shown(failure.root.who, failure.root.head[:SHOWN]) for failure in failures[:1])
    words = tuple(record.text[:SHOWN] for record in case.engine[:3]) or words or case.last_words
    cause = "this failure is not known here; its first exception is shown"
    if failures and not case.causes:
        cause = "the log holds only consequences; what caused them is not in it"
    elif not first:
        cause = f"the server ended with exit code {code} and left no error in its log"
    cure = "read the lines above the first exception (invoke logs), and search vLLM's issues for its words"
    return Diagnosis("", cause, words, cure, first_exception=first)
