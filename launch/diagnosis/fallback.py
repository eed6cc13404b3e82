"""What is said where no row fits: what there is, and that it is not known."""

from __future__ import annotations

from launch.diagnosis.analysis import SHOWN, Case, shown
from launch.diagnosis.traceback_model import Failure
from launch.diagnosis.types import Diagnosis

_CURE = "read the lines above the first exception (invoke logs), and search vLLM's issues for its words"


def healthy(case: Case, earlier: Diagnosis | None) -> Diagnosis:
    """Nothing ended this start; a start before it, and requests, may have failed."""
    words = tuple(word for failure in case.requests[:1] for word in _words(failure))
    if earlier:
        cause = f"no failure in the newest start of this log, which serves; the one before: {earlier.cause}"
        return Diagnosis("", cause, earlier.proof)
    coming = case.reading.begun and not case.reading.serving
    return Diagnosis("", _nothing(case), words or (case.last_words[-1:] if coming else ()))


def _nothing(case: Case) -> str:
    """How far a log without a failure goes."""
    if case.reading.empty:
        return "the log is empty"
    if case.reading.begun and not case.reading.serving:
        return "no failure in this log, but the server has not come up where it ends"
    if case.requests:
        return "no failure of the server in this log; what it reports is of single requests"
    return "no failure in this log"


def unknown(case: Case) -> Diagnosis:
    """Say so, and show what there is."""
    failures, first = case.causes or case.followers, case.first_exception
    words = tuple(word for failure in failures[:1] for word in _words(failure))
    words = tuple(record.text[:SHOWN] for record in case.engine[:3]) or words or _lines(case)
    return Diagnosis("", _cause(case, first), words, _CURE, first_exception=first)


def _cause(case: Case, first: str) -> str:
    followers = case.followers or (case.echoes and not case.complaints)
    if case.cut:
        return "the log is cut off inside a traceback, before its exception; where it stands is shown"
    if followers and not case.causes:
        return "the log holds only consequences; what caused them is not in it"
    if not first and not case.engine:
        return f"the server ended with exit code {case.evidence.exit_code} and left no error in its log"
    return "this failure is not known here; its first exception is shown"


def _lines(case: Case) -> tuple[str, ...]:
    if case.cut:
        return (case.cut[:SHOWN],)
    if told := case.complaints or case.echoes:
        return tuple(shown(record.who, record.text.strip()[:SHOWN]) for record in told[:1])
    return case.last_words


def _words(failure: Failure) -> tuple[str, ...]:
    """The root exception, and what was made of it in the end."""
    ends = (failure.root, failure.chain[-1])
    return tuple(dict.fromkeys(shown(raised.who, raised.head[:SHOWN]) for raised in ends))
