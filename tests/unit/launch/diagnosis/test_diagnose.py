"""Diagnose shortened logs as vLLM writes them: the cause is found, not a consequence of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose, format_text

LOGS = Path(__file__).with_name("logs")


def log(name: str) -> str:
    return (LOGS / f"{name}.log").read_text()


# Two ranks: the second runs out of memory; the first logs earlier, but only that its peer is gone.
PEER_GONE = log("peer-gone")
OUT_OF_MEMORY = log("out-of-memory")
CONSEQUENCES = log("consequences")


def diagnose_log(log: str, exit_code: int | None = 1, oom_killed: bool = False) -> Diagnosis:
    return diagnose(DiagnosisInput(iter(log.splitlines()), exit_code, oom_killed))


def test_diagnose_does_not_blame_the_rank_that_lost_its_peer() -> None:
    found = diagnose_log(PEER_GONE + OUT_OF_MEMORY + CONSEQUENCES)
    assert found.cause_id == "gpu-memory"
    assert found.first_exception == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert found.evidence == ("(Worker_TP1) " + found.first_exception,)


def test_format_text_has_what_why_and_next() -> None:
    formatted = format_text(diagnose_log(PEER_GONE + OUT_OF_MEMORY + CONSEQUENCES))
    assert formatted.startswith(
        "what: the GPU ran out of memory\nwhy:  (Worker_TP1) torch.OutOfMemoryError: CUDA"
    )
    assert "\nnext: invoke run --set --gpu-memory-utilization=" in formatted


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_diagnose_reads_interleaved_lines_of_two_ranks(random: Random) -> None:
    ranks = [PEER_GONE.splitlines(), OUT_OF_MEMORY.splitlines()]
    mixed: list[str] = []
    while any(ranks):
        mixed.append(random.choice([rank for rank in ranks if rank]).pop(0))
    found = diagnose_log("\n".join(mixed) + "\n" + CONSEQUENCES)
    assert (found.cause_id, found.evidence[0][:12]) == ("gpu-memory", "(Worker_TP1)")


def test_diagnose_reports_a_log_with_consequences_only() -> None:
    found = diagnose_log(CONSEQUENCES)
    assert not found.known
    assert found.cause == "the log contains only consequences, not their cause"
    assert found.cause_id == ""


def test_diagnose_shows_an_unknown_exception() -> None:
    unknown = OUT_OF_MEMORY.replace(
        "torch.OutOfMemoryError: CUDA out of", "ValueError: the device is full of"
    )
    found = diagnose_log(unknown + CONSEQUENCES)
    assert (found.known, found.cause_id, found.change) == (False, "", None)
    assert found.first_exception == "ValueError: the device is full of memory. Tried to allocate 2.00 GiB."
    assert "unknown cause" in format_text(found)


def test_diagnose_ignores_failures_after_an_unknown_exception() -> None:
    unknown = OUT_OF_MEMORY.replace(
        "torch.OutOfMemoryError: CUDA out of", "ValueError: the device is full of"
    )
    later = OUT_OF_MEMORY.replace("TP1 pid=25", "TP2 pid=26")
    assert not diagnose_log(unknown + later + CONSEQUENCES).known


CHAIN = log("chain")


def test_diagnose_matches_any_exception_of_a_chain_and_shows_the_root() -> None:
    found = diagnose_log(CHAIN)
    assert (found.cause_id, found.first_exception) == ("architecture-too-new", "KeyError: 'minimax_m2'")
    assert found.cause == (
        "this vLLM, or the Transformers in its image, is too old for the architecture minimax_m2"
    )


REQUEST = log("request")
CRASH = log("crash")


def test_diagnose_does_not_blame_an_earlier_failed_request() -> None:
    model = (
        "(APIServer pid=1) INFO 11-23 02:57 [x.py:1] non-default args: {'model': 'MiniMaxAI/MiniMax-M2'}\n"
    )
    found = diagnose_log(model + REQUEST + CRASH, exit_code=0)
    assert found.cause_id == "illegal-memory-access"
    assert found.change == {"set": {"--compilation-config": '{"cudagraph_mode": "PIECEWISE"}'}}
    assert found.safe


def test_diagnose_uses_the_newest_failed_start_of_a_restarting_container() -> None:
    start = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
    first = (
        start
        + 'Traceback (most recent call last):\n  File "launcher.py", line 1, in f\nOSError: [Errno 98] x\n'
    )
    second = start + OUT_OF_MEMORY + CONSEQUENCES
    assert diagnose_log(first + second).cause_id == "gpu-memory"
    assert diagnose_log(second + first).cause_id == "port-taken"
    assert diagnose_log(second + start).cause_id == "gpu-memory"  # the newest has not failed yet


def test_diagnose_blames_the_traceback_of_a_subprocess() -> None:
    found = diagnose_log(log("subprocess"))
    assert found.cause_id == "user-unknown"


def test_diagnose_reads_a_log_without_its_beginning() -> None:
    assert diagnose_log(OUT_OF_MEMORY.splitlines()[-1]).cause_id == "gpu-memory"
    lost = diagnose_log("ValueError: invalid value")
    assert (lost.known, lost.first_exception) == (False, "ValueError: invalid value")


def test_diagnose_finds_no_failure_of_a_healthy_server() -> None:
    found = diagnose_log("(APIServer pid=1) INFO:     Application startup complete.", exit_code=None)
    assert (found.cause_id, found.cause, found.first_exception) == ("", "no failure in this log", "")


def test_diagnose_does_not_treat_a_warning_as_a_failure() -> None:
    found = diagnose_log(
        "(APIServer pid=1) WARNING 11-23 02:41:59 [system_utils.py:255] Found ulimit of 20000. This can "
        "cause fd limit errors like `OSError: [Errno 24] Too many open files`.",
        exit_code=None,
    )
    assert found.cause == "no failure in this log"


# --- How the server ended ----------------------------------------------------------------------------------------


def test_diagnose_prefers_oom_killed_to_consequences() -> None:
    found = diagnose_log(PEER_GONE + CONSEQUENCES, exit_code=137, oom_killed=True)
    assert found.cause_id == "oom-killed"
    assert found.evidence[0] == "the engine reports: OOMKilled"


def test_diagnose_uses_the_exit_code_if_the_log_is_empty() -> None:
    assert diagnose_log("", exit_code=137).cause_id == "killed"
    assert diagnose_log("", exit_code=137, oom_killed=True).cause_id == "oom-killed"
    assert diagnose_log("", exit_code=139).cause_id == "segmentation-fault"
    assert diagnose_log("", exit_code=134).cause_id == "aborted"
    assert diagnose_log("", exit_code=132).cause_id == "illegal-instruction"
    assert diagnose_log("", exit_code=143).cause_id == "stopped"
    assert diagnose_log("", exit_code=127).cause_id == "no-vllm-in-image"


def test_diagnose_reads_the_signal_of_an_engine_core_from_a_consequence() -> None:
    killed = CONSEQUENCES.replace("Failed core proc(s): {}", "Failed core proc(s): {'EngineCore': -9}")
    found = diagnose_log(killed)
    assert found.cause_id == "killed"
    assert "'EngineCore': -9" in found.evidence[0]


DIED = (
    "(EngineCore pid=16) ERROR 11-23 02:58:26 [multiproc_executor.py:315] Worker proc VllmWorker-1 died "
    "unexpectedly (exit code: -{}), shutting down executor.\n"
)


def test_diagnose_reads_the_signal_of_a_crashed_rank() -> None:
    assert diagnose_log(DIED.format(11) + CONSEQUENCES).cause_id == "segmentation-fault"


def test_diagnose_enlarges_shared_memory_after_a_bus_error() -> None:
    found = diagnose_log(DIED.format(7) + CONSEQUENCES)
    assert (found.cause_id, found.change) == ("bus-error", {"shm": 16 * 2**30})


def test_diagnose_shows_an_unknown_error_of_the_engine() -> None:
    found = diagnose(DiagnosisInput(exit_code=128, engine_error="device plugin not registered"))
    assert (found.known, found.evidence) == (False, ("device plugin not registered",))


def test_diagnose_reports_an_exit_without_an_error_message() -> None:
    assert diagnose_log("", exit_code=3).cause == "the server exited with code 3 and left no error in its log"


# --- Prefixes of log collectors -------------------------------------------------------------------------------

PREFIXES = {
    "docker": "2026-11-23T03:01:18.634955269Z {}",
    "compose": "vllm-1  | {}",
    "kubectl": "[pod/minimax-0/vllm] {}",
    "journald": "Nov 23 03:01:18 node7 vllm[8727]: {}",
    "cri": "2026-11-23T03:01:18.634955269Z stderr F {}",
    "colour": "\x1b[31m{}\x1b[0m",
    "k9s": "│ {}",
    "windows": "{}\r",
}


def test_diagnose_strips_the_prefixes_of_log_collectors() -> None:
    for name, template in PREFIXES.items():
        log = (PEER_GONE + OUT_OF_MEMORY + CONSEQUENCES).splitlines()
        found = diagnose(DiagnosisInput([template.format(line) for line in log], 1))
        assert (found.cause_id, found.evidence[0][:12]) == ("gpu-memory", "(Worker_TP1)"), name


def test_diagnose_reads_the_json_log_file_of_the_engine() -> None:
    import json

    lines = (json.dumps({"log": line + "\n", "stream": "stderr"}) for line in OUT_OF_MEMORY.splitlines())
    assert diagnose(DiagnosisInput(lines, 1)).cause_id == "gpu-memory"


def test_diagnose_separates_interleaved_tracebacks_without_prefixes() -> None:
    lost = "RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"
    mixed = [
        "Traceback (most recent call last):",
        "Traceback (most recent call last):",
        '  File "/vllm/worker.py", line 8, in all_reduce',
        '  File "/vllm/worker.py", line 9, in profile_run',
        lost,
        "torch.OutOfMemoryError: CUDA out of memory.",
    ]
    assert diagnose(DiagnosisInput(mixed, 1)).cause_id == "gpu-memory"


# --- Arbitrary input --------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    st.lists(st.text() | st.sampled_from((PEER_GONE + OUT_OF_MEMORY + CHAIN + CONSEQUENCES).splitlines())),
    st.none() | st.integers(-300, 300),
    st.booleans(),
    st.text(),
)
def test_diagnose_never_raises(lines: list[str], code: int | None, killed: bool, engine: str) -> None:
    found = diagnose(DiagnosisInput(lines, code, killed, engine))
    assert format_text(found).startswith("what: ")
    assert found.known == bool(found.cause_id)


def test_diagnose_uses_bounded_memory_for_a_long_log() -> None:
    """Lines are read one at a time, and a fixed number of them is kept."""
    import tracemalloc

    def long_log() -> Iterator[str]:
        for number in range(60_000):
            yield f"an unknown line {number:x} {chr(97 + number % 26)}{number * 7919:x}"
            yield f'INFO:     127.0.0.1:{number} - "POST /v1/chat/completions HTTP/1.1" 200 OK'
        yield from OUT_OF_MEMORY.splitlines()

    tracemalloc.start()
    found = diagnose(DiagnosisInput(long_log(), 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.cause_id == "gpu-memory"
    assert peak < 20 * 2**20


def test_diagnose_concludes_a_kill_from_a_complete_log_without_errors() -> None:
    """vLLM 0.32 logs only this after kill -9 of the engine core, or of a rank, while it loads."""
    start = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
    front_end = "\n".join(CONSEQUENCES.splitlines()[-4:])
    assert diagnose_log(start + front_end).cause_id == "killed"
    assert diagnose_log(start + CONSEQUENCES).cause_id == "killed"
    assert diagnose_log(start + front_end).evidence[-1] == "no process left an error of its own"
    assert not diagnose_log(front_end).known  # the beginning, which may contain the cause, is missing
