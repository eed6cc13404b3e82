"""However a log was collected or copied, the lines in it are found: each wrapping around the same failure."""

from __future__ import annotations

import json

import pytest

from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose

PREFIX = "(EngineCore_DP0 pid=16) ERROR 11-23 02:58:24 [core.py:708] "
TRACEBACK = [
    "EngineCore failed to start.",
    "Traceback (most recent call last):",
    '  File "/vllm/v1/core/kv_cache_utils.py", line 10, in check_enough_kv_cache_memory',
    "    raise ValueError(",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.",
]
LOGGED = [PREFIX + line for line in TRACEBACK]


def explain(lines: list[str]) -> Diagnosis:
    return diagnose(Evidence(lines, 1))


def proves(found: Diagnosis) -> bool:
    return (found.cause_id, found.proof[0]) == ("no-kv-cache", f"(EngineCore_DP0) {TRACEBACK[-1]}")


@pytest.mark.parametrize(
    "wrapping",
    [
        "^[[1;36m(EngineCore_DP0 pid=16)^[[0;0m {rest}",  # a terminal's copy of colours
        "[1;36m(EngineCore_DP0 pid=16)[0;0m {rest}",  # copied without the escape character
        "(APIServer pid=1) {line}",  # a front end that passes on what its children say
        "[2026-11-23 02:58:24,123] {line}",
        "{line}          ",  # padded to the width of a terminal
    ],
)
def test_copies_of_a_terminal(wrapping: str) -> None:
    rests = [line.removeprefix("(EngineCore_DP0 pid=16) ") for line in LOGGED]
    lines = [wrapping.format(line=line, rest=rest) for line, rest in zip(LOGGED, rests, strict=True)]
    assert proves(explain(lines))


MARKS = ["vllm-0 vllm ", "w7x[info]", "1760090000 - node7 - ", "node7 INFO stdout "]


@pytest.mark.parametrize("mark", MARKS)
def test_an_unlisted_mark_is_learned_from_the_lines_that_vllm_prefixes(mark: str) -> None:
    start = [f"{mark}(APIServer pid=1) INFO 11-23 02:57:50 [x.py:1] a line" for _ in range(2)]
    python_s_own = [mark + line for line in TRACEBACK[1:]]
    assert explain(start + python_s_own).cause_id == "no-kv-cache"
    assert explain(start + python_s_own).proof[0] == TRACEBACK[-1]


def test_pods_with_unlisted_marks_are_told_apart() -> None:
    pods = ("vllm-0 vllm ", "vllm-1 vllm ")
    start = [f"{pod}INFO 11-23 02:57:50 [x.py:1] a line" for pod in pods for _ in range(2)]
    mixed = [pod + line for line in TRACEBACK[1:] for pod in pods]
    assert explain(start + mixed).proof == (TRACEBACK[-1],)


def test_a_timestamp_on_a_line_of_its_own_is_passed_over() -> None:
    stack = [*TRACEBACK[1:3] * 1, *[TRACEBACK[2]] * 60, *TRACEBACK[3:]]
    lines = [
        line for pair in zip(stack, ["2026-11-23 02:58:24.813"] * len(stack), strict=True) for line in pair
    ]
    assert explain(lines).cause_id == "no-kv-cache"


@pytest.mark.parametrize("words", ["message", "msg", "textPayload", "log"])
def test_json_lines(words: str) -> None:
    said = [json.dumps({"severity": "ERROR", words: line, "time": "x"}) for line in LOGGED]
    assert proves(explain(said))


def test_json_with_the_traceback_in_a_field() -> None:
    said = {"level": "ERROR", "message": TRACEBACK[0], "exc_info": "\n".join(TRACEBACK[1:])}
    after = {"level": "ERROR", "message": "RuntimeError: Engine core initialization failed."}
    found = explain([json.dumps(said), json.dumps(after)])
    assert (found.cause_id, found.proof) == ("no-kv-cache", (TRACEBACK[-1],))


def test_logfmt() -> None:
    lines = [f'time="2026-11-23" level=error msg="{line}"' for line in TRACEBACK[-1:]]
    assert explain(lines).cause_id == "no-kv-cache"


@pytest.mark.parametrize("between", [" ", "^M"])
def test_lines_pasted_into_one(between: str) -> None:
    assert explain([between.join(LOGGED)]).cause_id == "no-kv-cache"


def test_ranks_named_in_words_are_told_apart() -> None:
    """vLLM 0.10 writes `(VllmWorker TP0 pid=24)`."""
    ranks = [f"(VllmWorker TP{rank} pid={24 + rank}) ERROR 08-26 09:12:24 [core.py:559] " for rank in (0, 1)]
    lost = "RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"
    mixed = [ranks[0] + line for line in TRACEBACK[:4]]
    both = [line for old in mixed for line in (old, old.replace(ranks[0], ranks[1]))]
    found = explain([*both, ranks[0] + lost, ranks[1] + TRACEBACK[-1]])
    assert found.cause_id == "no-kv-cache"


def test_a_level_in_the_name_of_a_variable_is_no_level() -> None:
    """A line that tells to set NCCL_DEBUG=INFO is not information."""
    line = "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)"
    assert explain([line]).cause_id == "nccl-shared-memory-or-network"


LONG = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. "
    + "See the documentation. " * 20
)


@pytest.mark.parametrize(
    "wrapping", ["vllm-1  | {}", "[pod/m/vllm] 2026-11-23T03:01:18.6Z {}", "(APIServer pid=1) {}"]
)
def test_a_long_line_stays_with_its_stack(wrapping: str) -> None:
    """Where it happened tells what to do, so a line must not be taken for another writer's."""
    stack = [
        "WorkerProc failed to start.",
        TRACEBACK[1],
        '  File "/vllm/gpu_worker.py", line 1, in load_model',
        LONG,
    ]
    found = explain([wrapping.format(PREFIX + line) for line in stack])
    assert (found.cause_id, found.proof[0][:16]) == ("gpu-memory-at-load", "(EngineCore_DP0)")


def test_a_mark_with_a_level_is_learned_from_python_s_own_traceback() -> None:
    marked = [f"2026-11-23 03:01:18,123 - INFO - {line}" for line in TRACEBACK[1:]]
    assert explain(marked).cause_id == "no-kv-cache"
