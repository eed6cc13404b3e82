"""A server that runs and fails to answer requests has failed; a bad request of a client does not."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.types import Outcome

READY = "(APIServer pid=1) INFO:     Application startup complete."
ANSWERED = '(APIServer pid=1) INFO:     10.0.0.3:41 - "POST /v1/chat/completions HTTP/1.1" 200 OK'
REFUSED = ANSWERED.replace("200 OK", "500 Internal Server Error")
GENERATES = "(APIServer pid=1) INFO 11-23 [loggers.py:9] Engine 000: Avg generation throughput: 41.8 tokens/s"
PARSER = "vllm/tool_parsers/hermes_tool_parser"


def failed(message: str, file: str = PARSER, process: str = "APIServer") -> list[str]:
    """Return a failed request as vLLM logs it."""
    lines = [
        "Error in extracting tool call from response.",
        "Traceback (most recent call last):",
        f'  File "/x/site-packages/{file}.py", line 1, in extract',
        message,
    ]
    return [f"({process} pid=1) ERROR 11-23 02:58:24 [hermes_tool_parser.py:9] {line}" for line in lines]


def diagnose_lines(*lines: str) -> Diagnosis:
    return diagnose(DiagnosisInput(lines))


def test_a_request_that_fails_after_the_last_answer_is_a_failure() -> None:
    found = diagnose_lines(READY, *failed("ValueError: no such tag"))
    assert (found.cause_id, found.outcome) == ("tool-parser", Outcome.NAMED)
    assert "no such tag" in found.cause


@pytest.mark.parametrize("alive", [ANSWERED, GENERATES])
def test_a_server_that_goes_on_after_one_failed_request_is_healthy(alive: str) -> None:
    found = diagnose_lines(READY, *failed("ValueError: no such tag"), alive)
    assert (found.outcome, found.known) == (Outcome.HEALTHY, False)


def test_a_request_that_fails_again_and_again_is_a_failure_although_it_was_answered() -> None:
    one = [ANSWERED, *failed("ValueError: no such tag")]
    assert diagnose_lines(READY, *one * 3, ANSWERED).cause_id == "tool-parser"
    seldom = [*one * 2, *[ANSWERED] * 90]
    assert diagnose_lines(READY, *seldom).outcome is Outcome.HEALTHY


@pytest.mark.parametrize(
    "message",
    [
        "ValueError: This model's maximum context length is 4096 tokens.",
        "ConnectionResetError: [Errno 104] Connection reset by peer",
        "jinja2.exceptions.TemplateError: Conversation roles must alternate user/assistant",
        "PIL.UnidentifiedImageError: cannot identify image file",
    ],
)
def test_a_server_whose_client_sent_a_bad_request_is_healthy(message: str) -> None:
    assert (
        diagnose_lines(READY, *failed(message, "vllm/entrypoints/openai/serving_chat")).outcome
        is Outcome.HEALTHY
    )


def test_a_failed_transfer_of_the_kv_cache_is_named_although_requests_are_answered() -> None:
    connector = "vllm/distributed/kv_transfer/kv_connector/v1/nixl_connector"
    lines = failed("RuntimeError: Remote NIXL agent engine ID mismatch.", connector, "Worker_TP0")
    assert diagnose_lines(READY, *lines, ANSWERED).cause_id == "nixl-engine"


def test_requests_that_fail_without_an_exception_are_an_unknown_failure() -> None:
    found = diagnose_lines(READY, ANSWERED, REFUSED, REFUSED)
    assert (found.outcome, found.cause) == (
        Outcome.UNKNOWN,
        "the server runs, but requests to it fail; the cause is unknown, and the log shows no exception",
    )
    assert diagnose_lines(READY, REFUSED, ANSWERED).outcome is Outcome.HEALTHY


def test_answers_of_open_streams_do_not_revive_an_engine_that_failed() -> None:
    crash = [
        "EngineCore encountered a fatal error.",
        "Traceback (most recent call last):",
        '  File "/x/y.py", line 1, in step',
        "ValueError: invalid value",
    ]
    lines = [f"(EngineCore pid=7) ERROR 11-23 02:58:24 [core.py:9] {line}" for line in crash]
    found = diagnose_lines(READY, ANSWERED, *lines, ANSWERED, ANSWERED)
    assert (found.outcome, found.first_exception) == (Outcome.UNKNOWN, "ValueError: invalid value")


@pytest.mark.parametrize("interrupt", ["SystemExit", "KeyboardInterrupt"])
def test_a_server_that_was_stopped_is_healthy(interrupt: str) -> None:
    stopped = [
        "(APIServer pid=1) INFO 11-23 [launcher.py:1] Shutting down FastAPI HTTP server.",
        "(EngineCore pid=7) Process EngineCore:",
        "(EngineCore pid=7) Traceback (most recent call last):",
        '(EngineCore pid=7)   File "/x/vllm/v1/engine/core.py", line 1, in signal_handler',
        f"(EngineCore pid=7) {interrupt}",
    ]
    assert diagnose_lines(READY, ANSWERED, *stopped).outcome is Outcome.HEALTHY


@pytest.mark.parametrize(
    "prompt",
    ["why does `Application startup complete.` hang?", "non-default args: {'seed': 7}", '"POST /v1" 200 OK'],
)
def test_a_prompt_tells_nothing_of_the_server(prompt: str) -> None:
    asked = (
        f"(APIServer pid=1) INFO 11-23 02:58 [logger.py:40] Received request chatcmpl-9: prompt: {prompt!r}"
    )
    found = diagnose_lines(READY, *failed("ValueError: no such tag"), asked)
    assert (found.cause_id, found.outcome) == ("tool-parser", Outcome.NAMED)


IDLE = (
    "(APIServer pid=1) INFO 11-23 [loggers.py:9] Engine 000: Avg prompt throughput: 0.0 tokens/s, "
    "Avg generation throughput: 0.0 tokens/s, Running: 0 reqs, Waiting: 2 reqs, GPU KV cache usage: 0.0%"
)


def test_requests_that_wait_while_none_runs_are_a_failure() -> None:
    assert diagnose_lines(READY, ANSWERED, *[IDLE] * 3).cause_id == "requests-not-scheduled"
    assert (
        diagnose_lines(READY, *[IDLE] * 3, IDLE.replace("Running: 0", "Running: 1")).outcome
        is Outcome.HEALTHY
    )
    assert diagnose_lines(READY, ANSWERED, IDLE).outcome is Outcome.HEALTHY


def test_a_healthy_server_shows_why_single_requests_failed() -> None:
    message = "ValueError: At most 1 image(s) may be provided in one prompt."
    found = diagnose_lines(READY, ANSWERED, *failed("KeyError: '<tool_call>'"), ANSWERED)
    assert (found.outcome, found.known) == (Outcome.HEALTHY, False)
    assert found.cause.startswith("no failure of the server in this log; only single requests failed: ")
    assert "--tool-call-parser" in found.fix
    caused_by_client = diagnose_lines(READY, ANSWERED, *failed(message), ANSWERED)
    assert caused_by_client.outcome is Outcome.HEALTHY
    assert "only single requests failed: a request has more items of the kind image" in caused_by_client.cause
    assert "--limit-mm-per-prompt" in caused_by_client.fix


def test_a_server_that_answered_nothing_shows_what_it_complains_about() -> None:
    error = (
        "[1749803291.5] [host:7 :0]  tcp_ep.c:12 UCX  ERROR tcp_ep 0x3c: send(110) failed: Input/output error"
    )
    found = diagnose_lines(READY, error)
    assert found.outcome is Outcome.HEALTHY
    assert "UCX" in found.cause
    assert "UCX" not in diagnose_lines(READY, ANSWERED, error).cause


def test_a_wrong_name_in_every_request_is_named_and_the_server_is_healthy() -> None:
    error = "Error with model error=ErrorInfo(message='The model `m` does not exist.')"
    line = f"ERROR 02-06 02:14:21 [serving.py:286] {error}"
    found = diagnose_lines(
        READY, f"(APIServer pid=1) {line}", REFUSED.replace("500 Internal Server Error", "404 Not Found")
    )
    assert found.outcome is Outcome.HEALTHY
    assert found.cause == (
        "no failure of the server in this log: a client asks for the model m, and this server serves it under another "
        "name or not at all"
    )
