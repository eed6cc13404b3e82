"""The cause is named, never what followed from it: logs as vLLM writes them, shortened, one story each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose, text

LOGS = Path(__file__).with_name("logs")


def log(name: str) -> str:
    return (LOGS / f"{name}.log").read_text()


# Two ranks: the second runs out of memory, the first only notices that its peer is gone, and says so first.
PEER_GONE = log("peer-gone")
OUT_OF_MEMORY = log("out-of-memory")
CONSEQUENCES = log("consequences")


def explain(log: str, exit_code: int | None = 1, **facts: bool) -> Diagnosis:
    return diagnose(Evidence(iter(log.splitlines()), exit_code, **facts))


def test_a_rank_that_lost_its_peer_is_not_the_cause() -> None:
    found = explain(PEER_GONE + OUT_OF_MEMORY + CONSEQUENCES)
    assert found.cause_id == "gpu-memory"
    assert found.first_exception == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert found.proof == ("(Worker_TP1) " + found.first_exception,)


def test_what_is_told_to_people() -> None:
    told = text(explain(PEER_GONE + OUT_OF_MEMORY + CONSEQUENCES))
    assert told.startswith("what: the GPU ran out of memory\nwhy:  (Worker_TP1) torch.OutOfMemoryError: CUDA")
    assert "\nnext: invoke run --set --gpu-memory-utilization=" in told


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_lines_of_two_ranks_may_come_in_any_order(random) -> None:  # type: ignore[no-untyped-def]
    ranks = [PEER_GONE.splitlines(), OUT_OF_MEMORY.splitlines()]
    mixed: list[str] = []
    while any(ranks):
        mixed.append(random.choice([rank for rank in ranks if rank]).pop(0))
    found = explain("\n".join(mixed) + "\n" + CONSEQUENCES)
    assert (found.cause_id, found.proof[0][:12]) == ("gpu-memory", "(Worker_TP1)")


def test_only_consequences_are_said_to_be_that() -> None:
    found = explain(CONSEQUENCES)
    assert not found.known
    assert found.cause == "the log holds only consequences; what caused them is not in it"
    assert found.cause_id == ""


def test_an_unknown_exception_is_shown_and_said_to_be_unknown() -> None:
    unknown = OUT_OF_MEMORY.replace("torch.OutOfMemoryError: CUDA out of", "ValueError: the moon is full of")
    found = explain(unknown + CONSEQUENCES)
    assert (found.known, found.cause_id, found.change) == (False, "", None)
    assert found.first_exception == "ValueError: the moon is full of memory. Tried to allocate 2.00 GiB."
    assert "not known" in text(found)


def test_what_comes_after_an_unknown_exception_is_not_the_cause() -> None:
    unknown = OUT_OF_MEMORY.replace("torch.OutOfMemoryError: CUDA out of", "ValueError: the moon is full of")
    later = OUT_OF_MEMORY.replace("TP1 pid=25", "TP2 pid=26")
    assert not explain(unknown + later + CONSEQUENCES).known


CHAIN = log("chain")


def test_of_chained_exceptions_the_root_is_first_and_the_telling_one_is_named() -> None:
    found = explain(CHAIN)
    assert (found.cause_id, found.first_exception) == ("architecture-unknown", "KeyError: 'minimax_m2'")
    assert found.cause == "this vLLM does not know the architecture minimax_m2"


REQUEST = log("request")
CRASH = log("crash")


def test_a_request_that_failed_long_ago_did_not_end_the_server() -> None:
    found = explain(REQUEST + CRASH, exit_code=0)
    assert found.cause_id == "illegal-memory-access"
    assert found.change == {"set": {"--compilation-config": '{"cudagraph_mode": "PIECEWISE"}'}}
    assert found.safe


def test_the_newest_start_counts_in_a_container_that_starts_again_and_again() -> None:
    start = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
    first = start + 'Traceback (most recent call last):\n  File "x", line 1, in f\nOSError: [Errno 98] x\n'
    second = start + OUT_OF_MEMORY + CONSEQUENCES
    assert explain(first + second).cause_id == "gpu-memory"
    assert explain(second + first).cause_id == "port-taken"
    assert explain(second + start).cause_id == "gpu-memory"  # the newest has not failed yet


def test_a_subprocess_s_own_traceback_is_the_cause() -> None:
    found = explain(log("subprocess"))
    assert found.cause_id == "user-unknown"


def test_a_log_that_begins_in_the_middle_still_tells() -> None:
    assert explain(OUT_OF_MEMORY.splitlines()[-1]).cause_id == "gpu-memory"
    lost = explain("ValueError: the moon is full")
    assert (lost.known, lost.first_exception) == (False, "ValueError: the moon is full")


def test_a_healthy_server_has_no_failure() -> None:
    found = explain("(APIServer pid=1) INFO:     Application startup complete.", exit_code=None)
    assert (found.cause_id, found.cause, found.first_exception) == ("", "no failure in this log", "")


def test_a_warning_about_a_limit_is_no_failure() -> None:
    found = explain(
        "(APIServer pid=1) WARNING 11-23 02:41:59 [system_utils.py:255] Found ulimit of 20000. This can "
        "cause fd limit errors like `OSError: [Errno 24] Too many open files`.",
        exit_code=None,
    )
    assert found.cause == "no failure in this log"


# --- How it ended ----------------------------------------------------------------------------------------


def test_a_kill_for_memory_is_the_cause_of_what_the_others_say() -> None:
    found = explain(PEER_GONE + CONSEQUENCES, exit_code=137, oom_killed=True)
    assert found.cause_id == "oom-killed"
    assert found.proof[0] == "the engine reports: OOMKilled"


def test_a_kill_without_a_message_is_told_by_the_exit_code() -> None:
    assert explain("", exit_code=137).cause_id == "killed"
    assert explain("", exit_code=137, oom_killed=True).cause_id == "oom-killed"
    assert explain("", exit_code=139).cause_id == "segmentation-fault"
    assert explain("", exit_code=134).cause_id == "aborted"
    assert explain("", exit_code=132).cause_id == "illegal-instruction"
    assert explain("", exit_code=143).cause_id == "stopped"
    assert explain("", exit_code=127).cause_id == "no-vllm-in-image"


def test_an_engine_core_that_was_killed_says_so_in_the_consequence() -> None:
    killed = CONSEQUENCES.replace("Failed core proc(s): {}", "Failed core proc(s): {'EngineCore': -9}")
    found = explain(killed)
    assert found.cause_id == "killed"
    assert "'EngineCore': -9" in found.proof[0]


DIED = (
    "(EngineCore pid=16) ERROR 11-23 02:58:26 [multiproc_executor.py:315] Worker proc VllmWorker-1 died "
    "unexpectedly (exit code: -{}), shutting down executor.\n"
)


def test_a_rank_that_crashed_is_told_by_its_signal() -> None:
    assert explain(DIED.format(11) + CONSEQUENCES).cause_id == "segmentation-fault"


def test_a_bus_error_is_a_full_shm() -> None:
    found = explain(DIED.format(7) + CONSEQUENCES)
    assert (found.cause_id, found.change) == ("bus-error", {"shm": 16 * 2**30})


def test_the_engine_could_not_start_it() -> None:
    found = diagnose(Evidence(exit_code=128, engine_error="the flux capacitor is empty"))
    assert (found.known, found.proof) == (False, ("the flux capacitor is empty",))


def test_an_end_without_a_word_is_said_to_be_that() -> None:
    assert explain("", exit_code=3).cause == "the server ended with exit code 3 and left no error in its log"


# --- How lines are wrapped -------------------------------------------------------------------------------

WRAPPINGS = {
    "docker": "2026-11-23T03:01:18.634955269Z {}",
    "compose": "vllm-1  | {}",
    "kubectl": "[pod/minimax-0/vllm] {}",
    "journald": "Nov 23 03:01:18 node7 vllm[8727]: {}",
    "cri": "2026-11-23T03:01:18.634955269Z stderr F {}",
    "colour": "\x1b[31m{}\x1b[0m",
    "k9s": "│ {}",
    "windows": "{}\r",
}


def test_however_a_log_was_collected() -> None:
    for name, wrapping in WRAPPINGS.items():
        log = (PEER_GONE + OUT_OF_MEMORY + CONSEQUENCES).splitlines()
        found = diagnose(Evidence([wrapping.format(line) for line in log], 1))
        assert (found.cause_id, found.proof[0][:12]) == ("gpu-memory", "(Worker_TP1)"), name


def test_the_engine_s_own_log_file() -> None:
    import json

    lines = (json.dumps({"log": line + "\n", "stream": "stderr"}) for line in OUT_OF_MEMORY.splitlines())
    assert diagnose(Evidence(lines, 1)).cause_id == "gpu-memory"


def test_ranks_without_a_prefix_may_be_mixed() -> None:
    lost = "RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"
    mixed = [
        "Traceback (most recent call last):",
        "Traceback (most recent call last):",
        '  File "/vllm/worker.py", line 8, in all_reduce',
        '  File "/vllm/worker.py", line 9, in profile_run',
        lost,
        "torch.OutOfMemoryError: CUDA out of memory.",
    ]
    assert diagnose(Evidence(mixed, 1)).cause_id == "gpu-memory"


# --- Whatever it is given --------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    st.lists(st.text() | st.sampled_from((PEER_GONE + OUT_OF_MEMORY + CHAIN + CONSEQUENCES).splitlines())),
    st.none() | st.integers(-300, 300),
    st.booleans(),
    st.text(),
)
def test_nothing_makes_it_raise(lines: list[str], code: int | None, killed: bool, engine: str) -> None:
    found = diagnose(Evidence(lines, code, killed, engine))
    assert text(found).startswith("what: ")
    assert found.known == bool(found.cause_id)


def test_memory_stays_bounded_however_long_the_log_is() -> None:
    """A million lines are read one at a time; only a fixed number of them is kept."""
    import tracemalloc

    def long_log() -> Iterator[str]:
        for number in range(60_000):
            yield f"a stranger's line {number:x} {chr(97 + number % 26)}{number * 7919:x}"
            yield f'INFO:     127.0.0.1:{number} - "POST /v1/chat/completions HTTP/1.1" 200 OK'
        yield from OUT_OF_MEMORY.splitlines()

    tracemalloc.start()
    found = diagnose(Evidence(long_log(), 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.cause_id == "gpu-memory"
    assert peak < 20 * 2**20


def test_a_process_that_ends_without_a_word_was_killed() -> None:
    """kill -9 of the engine core, or of a rank, of vLLM 0.32 while it loads leaves nothing but this."""
    start = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
    front_end = "\n".join(CONSEQUENCES.splitlines()[-4:])
    assert explain(start + front_end).cause_id == "killed"
    assert explain(start + CONSEQUENCES).cause_id == "killed"
    assert explain(start + front_end).proof[-1] == "no process left an error of its own"
    assert not explain(front_end).known  # the beginning is cut off: it may have said why
