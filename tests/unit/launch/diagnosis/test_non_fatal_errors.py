"""Errors after which a server goes on are not the cause of a later failure."""

from __future__ import annotations

from pathlib import Path

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.types import Outcome

LOGS = Path(__file__).with_name("logs")
OUT_OF_MEMORY = (LOGS / "out-of-memory.log").read_text() + (LOGS / "consequences.log").read_text()

START = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
SERVES = "(APIServer pid=1) INFO:     Application startup complete.\n"
ANSWERED = '(APIServer pid=1) INFO:     10.0.0.3:41 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
NOISE = "(EngineCore pid=16) ERROR 11-23 02:58:01 [config.py:3] Error: No module named 'httptools'\n"


def diagnose_log(log: str, exit_code: int | None = None) -> Diagnosis:
    return diagnose(DiagnosisInput(log.splitlines(), exit_code))


def logged(process: str, location: str, *lines: str) -> str:
    """Return a traceback as vLLM's logger writes it."""
    printed = [
        lines[0],
        "Traceback (most recent call last):",
        '  File "/vllm/x.py", line 1, in f',
        *lines[1:],
    ]
    return "".join(f"({process} pid=16) ERROR 11-23 02:58:24 [{location}] {line}\n" for line in printed)


CRASH = logged(
    "EngineCore", "core.py:9", "EngineCore encountered a fatal error.", "ValueError: invalid value"
)


def test_diagnose_ignores_an_error_before_the_server_was_ready() -> None:
    assert diagnose_log(START + NOISE + SERVES).cause == "no failure in this log"
    assert diagnose_log(START + NOISE).cause_id == "module-missing"  # it was never ready


def test_diagnose_reports_a_failed_request_as_such() -> None:
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing prompt inputs", "ValueError: too long"
    )
    found = diagnose_log(START + SERVES + request + ANSWERED)
    assert found.cause == "no failure of the server in this log; only single requests failed"
    assert (found.known, found.evidence) == (False, ("(APIServer) ValueError: too long",))


def test_diagnose_recognizes_a_failed_request_by_its_module() -> None:
    """The log may start while the server runs; vLLM before 0.10 does not name the process."""
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing prompt inputs", "ValueError: too long"
    )
    assert not diagnose_log(request.replace("(APIServer pid=16) ", "") + ANSWERED).first_exception


def test_diagnose_blames_the_crash_and_not_an_earlier_request() -> None:
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing", "ValueError: trust_remote_code=True"
    )
    found = diagnose_log(START + SERVES + request + CRASH, exit_code=1)
    assert (found.known, found.first_exception) == (False, "ValueError: invalid value")


def test_diagnose_ignores_an_error_before_an_answered_request() -> None:
    error = "(EngineCore pid=16) ERROR 11-23 02:58:01 [grammar.py:3] No module named 'httptools'\n"
    assert diagnose_log(START + SERVES + error + ANSWERED).cause == "no failure in this log"
    assert diagnose_log(START + SERVES + ANSWERED + error).cause == (
        "no failure of the server in this log; it goes on after the errors that it logged"
    )
    assert diagnose_log(START + SERVES + ANSWERED + error, exit_code=1).cause_id == "module-missing"


def test_diagnose_mentions_a_failed_start_before_one_that_serves() -> None:
    found = diagnose_log(START + OUT_OF_MEMORY + START + SERVES)
    assert (found.cause_id, found.known) == ("", False)
    assert found.cause == (
        "no failure in the newest start, which serves; the start before it failed: the GPU ran out of memory"
    )


def test_diagnose_blames_a_failed_start_after_one_that_served() -> None:
    assert diagnose_log(START + SERVES + ANSWERED + START + OUT_OF_MEMORY).cause_id == "gpu-memory"


def test_diagnose_reports_a_log_that_ends_while_the_server_loads() -> None:
    found = diagnose_log(START + "Loading safetensors checkpoint shards:  99% Completed | 38/39\n")
    assert found.cause == (
        "the log ends before the server is ready, and shows no failure so far; "
        "it waits for the weights to be loaded (99%)"
    )
    assert found.evidence == ("Loading safetensors checkpoint shards:  99% Completed | 38/39",)


def test_diagnose_concludes_a_hang_from_repeated_stall_reports() -> None:
    stall = (
        "(EngineCore pid=9) INFO 11-23 02:59:00 [shm_broadcast.py:705] No available shared memory broadcast "
        "block found in 60 seconds. This typically happens when some processes are hanging\n"
    )
    assert diagnose_log(START + stall * 12).cause_id == "rank-hangs"
    assert diagnose_log(START + stall * 3).outcome is Outcome.WAITING  # compiling may take that long
    assert diagnose_log(START + stall * 12 + SERVES).cause == "no failure in this log"


def test_diagnose_does_not_blame_a_request_for_a_later_exit() -> None:
    request = logged(
        "APIServer", "serving.py:2", "Error in preprocessing prompt inputs", "ValueError: too long"
    )
    found = diagnose_log(START + SERVES + request, exit_code=3)
    assert found.cause == "the server exited with code 3 and left no error in its log"
    assert diagnose_log(START + SERVES + request, exit_code=137).cause_id == "killed"


def test_diagnose_blames_the_thread_of_the_engine_that_reads_requests() -> None:
    """The engine answers no more requests after it, although its process goes on."""
    thread = (
        "(EngineCore pid=7) Exception in thread Thread-1 (process_input_sockets):\n"
        "(EngineCore pid=7) Traceback (most recent call last):\n"
        '(EngineCore pid=7)   File "/vllm/v1/engine/core.py", line 8, in preprocess_add_request\n'
        "(EngineCore pid=7) AssertionError: Expected a cached item for mm_hash='7f'\n"
    )
    assert diagnose_log(START + SERVES + ANSWERED + thread).cause_id == "multimodal-cache"
    other = thread.replace("process_input_sockets", "report_usage")
    assert diagnose_log(START + SERVES + ANSWERED + other).cause_id == ""


def test_diagnose_reports_what_a_start_waits_for_rather_than_that_it_waits() -> None:
    loading = "INFO 11-23 02:58:10 [gpu_model_runner.py:9] Starting to load model m...\n"
    engine = (
        "DEBUG 11-23 02:58:20 [utils.py:741] Waiting for 1 local, 0 remote core engine proc(s) to start.\n"
    )
    assert "it waits for the weights to be loaded" in diagnose_log(START + loading + engine * 3).cause
    assert "its engine processes (1 local" in diagnose_log(START + engine * 3).cause


def test_diagnose_does_not_report_a_wait_that_is_over() -> None:
    events = 'Events:\n  Normal  Pulling  93s  kubelet  Pulling image "vllm/vllm-openai:v0.11.0"\n'
    assert "the image vllm/vllm-openai:v0.11.0 to be pulled" in diagnose_log(events).cause
    started = "  Normal  Started  40s  kubelet  Started container vllm\n"
    assert diagnose_log(events + started).cause == "no failure in this log"


def test_diagnose_names_a_port_that_was_taken_after_the_startup_was_complete() -> None:
    taken = "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use\n"
    assert diagnose_log(START + SERVES + taken).cause_id == "port-taken-at-bind"
