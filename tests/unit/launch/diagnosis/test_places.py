"""A wording counts only where it ends the server: not where it is quoted, overcome, or later than the failure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.types import Outcome
from tests.unit.launch.diagnosis.test_rules import cases, worker_traceback

UNKNOWN = "ValueError: a failure that no rule knows"
FAILURE = worker_traceback(UNKNOWN)
START = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'max_logprobs': 7}"
READY = "(APIServer pid=1) INFO:     Application startup complete."
ANSWERED = '(APIServer pid=1) INFO:     10.0.0.3:41 - "POST /v1/chat/completions HTTP/1.1" 200 OK'
EXCEPTIONS = [message.rstrip("\n") for _, message in cases("exceptions")]
LINES = [line for _, line in cases("lines")]


def diagnose_lines(lines: list[str], exit_code: int | None = 1) -> Diagnosis:
    return diagnose(DiagnosisInput(lines, exit_code))


def logged(message: str, *, process: str, before: str, level: str = "ERROR") -> list[str]:
    """Return a traceback as a process logs it after a line of its own."""
    lines = [
        before,
        "Traceback (most recent call last):",
        '  File "/x/y.py", line 1, in f',
        *message.splitlines(),
    ]
    return [f"({process}) {level} 11-23 02:58:24 [x.py:9] {line}" for line in lines]


def in_a_notice(message: str) -> list[str]:
    return [f"(EngineCore pid=7) INFO 11-23 02:58:24 [x.py:9] {line}" for line in message.splitlines()]


def in_a_prompt(message: str) -> list[str]:
    return [
        f"(APIServer pid=1) INFO 11-23 02:58 [logger.py:40] Received request chatcmpl-9: prompt: {message!r}, p: 1"
    ]


def in_the_options(message: str) -> list[str]:
    return [START.replace("{", "{'served_model_name': " + repr(message) + ", ")]


def in_a_dump(message: str) -> list[str]:
    dumped = f"Dumping input data for V1 LLM engine (v0.32.0) with config: model={message!r}"
    return [f"(EngineCore pid=7) ERROR 11-23 02:58:24 [dump_input.py:72] {dumped}"]


def overcome_by_its_process(message: str) -> list[str]:
    later = "(EngineCore pid=7) INFO 11-23 02:59:24 [m.py:9] GPU KV cache size: 1,000 tokens"
    return [*logged(message, process="EngineCore pid=7", before="It failed, next try"), later]


def of_a_request(message: str) -> list[str]:
    failed = logged(message, process="APIServer pid=1", before="Error in preprocessing prompt inputs")
    return [READY, *(line.replace("x.py", "serving_chat.py") for line in failed)]


Place = Callable[[str], list[str]]


@pytest.mark.parametrize(
    "place",
    [in_a_notice, in_a_prompt, in_the_options, in_a_dump, overcome_by_its_process, of_a_request],
    ids=lambda place: place.__name__,
)
def test_no_wording_explains_an_unknown_failure_after_it(place: Place) -> None:
    wrong = {}
    for message in EXCEPTIONS:
        found = diagnose_lines([START, *place(message), *FAILURE])
        if found.known or found.first_exception != UNKNOWN:
            wrong[message] = found.cause_id or found.first_exception
    assert wrong == {}


def test_no_wording_that_a_server_survived_is_its_failure() -> None:
    wrong = {}
    for message in (*EXCEPTIONS, *LINES):
        before = [START, *message.splitlines(), READY, ANSWERED]
        error = [f"(EngineCore pid=7) ERROR 11-23 02:58:24 [x.py:9] {message.splitlines()[0]}"]
        for log in (before, [START, READY, *error, ANSWERED]):
            found = diagnose_lines(log, exit_code=None)
            if found.outcome is not Outcome.HEALTHY:
                wrong[message] = found.cause_id
    assert wrong == {}


def test_no_wording_after_an_unknown_failure_explains_it() -> None:
    wrong = {}
    for message in EXCEPTIONS:
        later = [line.replace("TP0 pid=24", "TP1 pid=25") for line in worker_traceback(message)]
        found = diagnose_lines([START, *FAILURE, *later])
        if found.known:
            wrong[message] = found.cause_id
    assert wrong == {}
