"""What a server survived is not what ended it: starts, requests and errors after which it went on."""

from __future__ import annotations

from pathlib import Path

from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose

LOGS = Path(__file__).with_name("logs")
OUT_OF_MEMORY = (LOGS / "out-of-memory.log").read_text() + (LOGS / "consequences.log").read_text()

START = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
SERVES = "(APIServer pid=1) INFO:     Application startup complete.\n"
ANSWERED = '(APIServer pid=1) INFO:     10.0.0.3:41 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
NOISE = "(EngineCore pid=16) ERROR 11-23 02:58:01 [config.py:3] Error: No module named 'soundfile'\n"


def explain(log: str, exit_code: int | None = None) -> Diagnosis:
    return diagnose(Evidence(log.splitlines(), exit_code))


def logged(who: str, place: str, *lines: str) -> str:
    """A traceback as vLLM's logger writes it."""
    said = [lines[0], "Traceback (most recent call last):", '  File "/vllm/x.py", line 1, in f', *lines[1:]]
    return "".join(f"({who} pid=16) ERROR 11-23 02:58:24 [{place}] {line}\n" for line in said)


CRASH = logged(
    "EngineCore", "core.py:9", "EngineCore encountered a fatal error.", "ValueError: the moon is full"
)


def test_an_error_before_the_server_was_up_did_not_stop_it() -> None:
    assert explain(START + NOISE + SERVES).cause == "no failure in this log"
    assert explain(START + NOISE).cause_id == "module-missing"  # it has not come up


def test_a_request_that_failed_is_not_a_failure_of_the_server() -> None:
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing prompt inputs", "ValueError: too long"
    )
    found = explain(START + SERVES + request + ANSWERED)
    assert found.cause == "no failure of the server in this log; what it reports is of single requests"
    assert (found.known, found.proof) == (False, ("(APIServer) ValueError: too long",))


def test_a_request_that_failed_is_known_by_where_it_was_served() -> None:
    """Where the log begins while the server runs, and in vLLM before 0.10, which names no process."""
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing prompt inputs", "ValueError: too long"
    )
    assert not explain(request.replace("(APIServer pid=16) ", "") + ANSWERED).first_exception


def test_the_crash_counts_and_not_the_requests_before_it() -> None:
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing", "ValueError: trust_remote_code=True"
    )
    found = explain(START + SERVES + request + CRASH, exit_code=1)
    assert (found.known, found.first_exception) == (False, "ValueError: the moon is full")


def test_an_error_after_which_a_request_was_answered_is_over() -> None:
    error = "(EngineCore pid=16) ERROR 11-23 02:58:01 [grammar.py:3] No module named 'soundfile'\n"
    assert explain(START + SERVES + error + ANSWERED).cause == "no failure in this log"
    assert explain(START + SERVES + ANSWERED + error).cause_id == "module-missing"


def test_a_start_that_failed_before_one_that_serves_is_told_but_is_not_the_cause() -> None:
    found = explain(START + OUT_OF_MEMORY + START + SERVES)
    assert (found.cause_id, found.known) == ("", False)
    assert found.cause == (
        "no failure in the newest start of this log, which serves; the one before: the GPU ran out of memory"
    )


def test_a_start_that_failed_after_one_that_served_is_the_cause() -> None:
    assert explain(START + SERVES + ANSWERED + START + OUT_OF_MEMORY).cause_id == "gpu-memory"


def test_a_log_that_ends_while_the_server_loads_says_so() -> None:
    found = explain(START + "Loading safetensors checkpoint shards:  99% Completed | 38/39\n")
    assert found.cause == "no failure in this log, but the server has not come up where it ends"
    assert found.proof == ("Loading safetensors checkpoint shards:  99% Completed | 38/39",)


def test_a_rank_that_is_waited_for_again_and_again_hangs() -> None:
    waits = (
        "(EngineCore pid=9) INFO 11-23 02:59:00 [shm_broadcast.py:705] No available shared memory broadcast "
        "block found in 60 seconds. This typically happens when some processes are hanging\n"
    )
    assert explain(START + waits * 12).cause_id == "rank-hangs"
    assert explain(START + waits * 3).cause.startswith("no failure in this log")  # it may compile
    assert explain(START + waits * 12 + SERVES).cause == "no failure in this log"


def test_what_was_told_to_a_client_is_not_why_the_server_ended_later() -> None:
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing prompt inputs", "ValueError: too long"
    )
    found = explain(START + SERVES + request, exit_code=3)
    assert found.cause == "the server ended with exit code 3 and left no error in its log"
    assert explain(START + SERVES + request, exit_code=137).cause_id == "killed"
