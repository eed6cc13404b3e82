"""From what was read to the cause: the first failure of the first failing rank, never what followed from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from launch.diagnosis.evidence import Diagnosis, Evidence
from launch.diagnosis.failure import EXCEPTION, Failure, Raised, Weight
from launch.diagnosis.reading import Reading, read_log
from launch.diagnosis.record import Record, read
from launch.diagnosis.symptoms import Symptom, Table, captured, change_of, filled

PROOF = 500  # characters of a line that is shown

_SIGNAL = re.compile(
    r"exit ?code:? ?-(\d+)|Failed core proc\(s\): \{[^}]*?: -(\d+)|worker died \(-(\d+)\)|"
    r"(?:terminated|killed|died) (?:by|with|due to|from) signal:? (\d+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Found:
    symptom: Symptom
    match: re.Match[str] | None
    proof: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    """All that a verdict looks at, sorted: `causes` are failures that no other explains."""

    evidence: Evidence
    reading: Reading
    causes: tuple[Failure, ...]
    followers: tuple[Failure, ...]
    lines: tuple[Record, ...]
    engine: tuple[Record, ...]


def judge(evidence: Evidence, table: Table) -> Diagnosis:
    """Name the cause of what the evidence shows."""
    case = _case(evidence, table)
    first = _first_exception(case)
    for look in (
        _from_engine,
        _from_causes,
        _from_kill,
        _from_lines,
        _from_broad,
        _from_followers,
        _from_exit,
    ):
        if look is _from_followers and _is_unknown(case):
            break
        if found := look(case, table):
            return _diagnosis(found, first)
    return _unknown(case, first)


def _case(evidence: Evidence, table: Table) -> _Case:
    reading = read_log(evidence.lines)
    failures = sorted(reading.all_failures, key=lambda failure: failure.weight is Weight.HANDLED)
    causes = tuple(f for f in failures if not table.is_consequence(f.root.head))
    followers = tuple(f for f in failures if table.is_consequence(f.root.head))
    engine = tuple(read(line) for line in evidence.engine_error.splitlines() if line.strip())
    return _Case(evidence, reading, causes, followers, tuple(reading.lines), engine)


def _is_unknown(case: _Case) -> bool:
    """Whether a fatal exception stands there that no row knows: then what came after it is no answer."""
    return any(failure.weight is not Weight.HANDLED for failure in case.causes)


def _from_engine(case: _Case, table: Table) -> _Found | None:
    """The container did not even start: the engine's own words count."""
    text = "\n".join(record.text for record in case.engine)
    for broad in (False, True):
        for symptom in table.symptoms:
            if symptom.broad is broad and text and (match := symptom.match(text)):
                return _Found(symptom, match, (_cut(text, match),))
    return None


def _from_causes(case: _Case, table: Table) -> _Found | None:
    """The first failure that a narrow row knows; a fatal one that none knows ends the search."""
    for failure in case.causes:
        if found := _known(failure, table, lambda symptom: not symptom.broad):
            return found
        if failure.weight is Weight.FATAL:
            return None
    return None


def _from_kill(case: _Case, table: Table) -> _Found | None:
    if not case.evidence.oom_killed:
        return None
    return _Found(table.oom_killed, None, ("the engine reports: OOMKilled", *_last_words(case)))


def _from_lines(case: _Case, table: Table) -> _Found | None:
    """Lines printed past any traceback: argument errors, GPU faults, NCCL's own warnings."""
    return _in_lines(case.lines, table, lambda symptom: not symptom.broad)


def _from_broad(case: _Case, table: Table) -> _Found | None:
    for failure in case.causes:
        if found := _known(failure, table, lambda symptom: symptom.broad):
            return found
        if failure.weight is Weight.FATAL:
            break
    if _is_unknown(case):
        return None
    return _in_lines(case.lines, table, lambda symptom: symptom.broad)


def _from_followers(case: _Case, table: Table) -> _Found | None:
    """Only consequences are left: one may still carry the cause's words, or the signal that killed a rank."""
    for failure in case.followers:
        if found := _known(failure, table, lambda symptom: True):
            return found
    texts = [record.text for record in case.lines] + [f.root.text for f in case.followers]
    return next((found for text in texts if (found := _signal(text, table))), None)


def _signal(text: str, table: Table) -> _Found | None:
    for match in _SIGNAL.finditer(text):
        symptom = table.signals.get(int(next(group for group in match.groups() if group)))
        if symptom:
            return _Found(symptom, None, (_cut(text, match),))
    return None


def _from_exit(case: _Case, table: Table) -> _Found | None:
    code = case.evidence.exit_code
    if code is None:
        return None
    symptom = table.signals.get(code - 128) or table.exits.get(code)
    if symptom is None or (case.followers and code in table.exits):
        return None
    return _Found(symptom, None, (f"exit code {code}", *_last_words(case)))


def _known(failure: Failure, table: Table, wanted: Callable[[Symptom], bool]) -> _Found | None:
    """The row that knows one of the chained exceptions, the root first."""
    for raised in failure.chain:
        for symptom in table.symptoms:
            if wanted(symptom) and (match := symptom.match(raised.text, raised.frames)):
                return _Found(symptom, match, _proof(raised, match))
    return None


def _in_lines(lines: Iterable[Record], table: Table, wanted: Callable[[Symptom], bool]) -> _Found | None:
    rows = [symptom for symptom in table.symptoms if wanted(symptom) and not symptom.frames]
    for record in lines:
        if table.is_consequence(record.text):
            continue
        for symptom in rows:
            if record.level == "WARNING" and not symptom.warnings:
                continue
            if match := symptom.match(record.text):
                return _Found(symptom, match, (_shown(record.who, _cut(record.text, match)),))
    return None


def _proof(raised: Raised, match: re.Match[str]) -> tuple[str, ...]:
    """The exception, and the line of its message that told, where that is another one."""
    told = _cut(raised.text, match)
    words = (raised.head[:PROOF],) if told[:80] in raised.head else (raised.lines[0][:PROOF], told)
    return tuple(_shown(raised.who, line) for line in words)


def _cut(text: str, match: re.Match[str]) -> str:
    """The line around a match, shortened to what a person reads."""
    begin = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    line = text[begin : end if end >= 0 else len(text)]
    if len(line) <= PROOF:
        return line.strip()
    start = max(0, match.start() - begin - 60)
    return line[start : start + PROOF].strip()


def _shown(who: str, line: str) -> str:
    return f"({who}) {line}" if who else line


def _last_words(case: _Case) -> tuple[str, ...]:
    return tuple(_shown(record.who, record.text.strip()[:PROOF]) for record in case.lines[-2:])


def _first_exception(case: _Case) -> str:
    failures = case.causes or case.followers
    if failures:
        return failures[0].root.head[:PROOF]
    return next((record.text.strip() for record in case.lines if _is_complaint(record)), "")[:PROOF]


def _is_complaint(record: Record) -> bool:
    """An error that was logged, or an exception whose traceback is not in the log."""
    if record.level:
        return record.level in ("ERROR", "CRITICAL")
    exception = EXCEPTION.match(record.text)
    return bool(exception and exception["rest"] and re.search("(?i)error|exception", exception["type"]))


def _diagnosis(found: _Found, first: str) -> Diagnosis:
    symptom, words = found.symptom, captured(found.match)
    return Diagnosis(
        symptom.id,
        filled(symptom.cause, words),
        found.proof,
        filled(symptom.cure, words),
        change := change_of(symptom, words),
        symptom.safe and change is not None,
        True,
        first,
        symptom.source,
    )


def _unknown(case: _Case, first: str) -> Diagnosis:
    """Say so, and show what there is."""
    failures = case.causes or case.followers
    code = case.evidence.exit_code
    if not failures and not first and not case.engine and code in (0, None):
        return Diagnosis("", "no failure in this log")
    proof = tuple(_shown(f.root.who, f.root.head[:PROOF]) for f in failures[:1]) or _last_words(case)
    if case.engine:
        proof = tuple(record.text[:PROOF] for record in case.engine[:3])
    cause = "this failure is not known here; its first exception is shown"
    if failures and not case.causes:
        cause = "the log holds only consequences; what caused them is not in it"
    cure = "read the lines above the first exception: invoke logs; then search vLLM's issues for its words"
    return Diagnosis("", cause, proof, cure, first_exception=first)
