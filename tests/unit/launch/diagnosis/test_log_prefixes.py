"""Diagnose the same failure with the prefixes of different log collectors and copies."""

from __future__ import annotations

import json

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose

PREFIX = "(EngineCore_DP0 pid=16) ERROR 11-23 02:58:24 [core.py:708] "
TRACEBACK = [
    "EngineCore failed to start.",
    "Traceback (most recent call last):",
    '  File "/vllm/v1/core/kv_cache_utils.py", line 10, in check_enough_kv_cache_memory',
    "    raise ValueError(",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.",
]
LOGGED = [PREFIX + line for line in TRACEBACK]


def diagnose_log(lines: list[str]) -> Diagnosis:
    return diagnose(DiagnosisInput(lines, 1))


def is_recognized(found: Diagnosis) -> bool:
    return (found.cause_id, found.evidence[0]) == ("no-kv-cache", f"(EngineCore_DP0) {TRACEBACK[-1]}")


@pytest.mark.parametrize(
    "template",
    [
        "^[[1;36m(EngineCore_DP0 pid=16)^[[0;0m {rest}",  # a terminal's copy of colours
        "[1;36m(EngineCore_DP0 pid=16)[0;0m {rest}",  # copied without the escape character
        "(APIServer pid=1) {line}",  # a front end that forwards the output of its children
        "[2026-11-23 02:58:24,123] {line}",
        "{line}          ",  # padded to the width of a terminal
    ],
)
def test_stripper_strips_what_a_copy_from_a_terminal_adds(template: str) -> None:
    rests = [line.removeprefix("(EngineCore_DP0 pid=16) ") for line in LOGGED]
    lines = [template.format(line=line, rest=rest) for line, rest in zip(LOGGED, rests, strict=True)]
    assert is_recognized(diagnose_log(lines))


PREFIXES = ["vllm-0 vllm ", "w7x[info]", "1760090000 - node7 - ", "node7 INFO stdout "]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_stripper_learns_an_unlisted_prefix_from_vllm_lines(prefix: str) -> None:
    start = [f"{prefix}(APIServer pid=1) INFO 11-23 02:57:50 [x.py:1] a line" for _ in range(2)]
    from_python = [prefix + line for line in TRACEBACK[1:]]
    assert diagnose_log(start + from_python).cause_id == "no-kv-cache"
    assert diagnose_log(start + from_python).evidence[0] == TRACEBACK[-1]


def test_stripper_separates_pods_with_unlisted_prefixes() -> None:
    pods = ("vllm-0 vllm ", "vllm-1 vllm ")
    start = [f"{pod}INFO 11-23 02:57:50 [x.py:1] a line" for pod in pods for _ in range(2)]
    mixed = [pod + line for line in TRACEBACK[1:] for pod in pods]
    assert diagnose_log(start + mixed).evidence == (TRACEBACK[-1],)


def test_stripper_skips_lines_with_only_a_timestamp() -> None:
    stack = [*TRACEBACK[1:3] * 1, *[TRACEBACK[2]] * 60, *TRACEBACK[3:]]
    lines = [
        line for pair in zip(stack, ["2026-11-23 02:58:24.813"] * len(stack), strict=True) for line in pair
    ]
    assert diagnose_log(lines).cause_id == "no-kv-cache"


@pytest.mark.parametrize("key", ["message", "msg", "textPayload", "log"])
def test_stripper_reads_json_lines(key: str) -> None:
    lines = [json.dumps({"severity": "ERROR", key: line, "time": "x"}) for line in LOGGED]
    assert is_recognized(diagnose_log(lines))


def test_stripper_reads_the_traceback_field_of_json_lines() -> None:
    error = {"level": "ERROR", "message": TRACEBACK[0], "exc_info": "\n".join(TRACEBACK[1:])}
    after = {"level": "ERROR", "message": "RuntimeError: Engine core initialization failed."}
    found = diagnose_log([json.dumps(error), json.dumps(after)])
    assert (found.cause_id, found.evidence) == ("no-kv-cache", (TRACEBACK[-1],))


def test_stripper_reads_logfmt() -> None:
    lines = [f'time="2026-11-23" level=error msg="{line}"' for line in TRACEBACK[-1:]]
    assert diagnose_log(lines).cause_id == "no-kv-cache"


@pytest.mark.parametrize("between", [" ", "^M"])
def test_stripper_splits_lines_pasted_into_one(between: str) -> None:
    assert diagnose_log([between.join(LOGGED)]).cause_id == "no-kv-cache"


def test_log_line_separates_ranks_of_vllm_0_10() -> None:
    """vLLM 0.10 writes `(VllmWorker TP0 pid=24)`."""
    ranks = [f"(VllmWorker TP{rank} pid={24 + rank}) ERROR 08-26 09:12:24 [core.py:559] " for rank in (0, 1)]
    lost = "RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"
    mixed = [ranks[0] + line for line in TRACEBACK[:4]]
    both = [line for old in mixed for line in (old, old.replace(ranks[0], ranks[1]))]
    found = diagnose_log([*both, ranks[0] + lost, ranks[1] + TRACEBACK[-1]])
    assert found.cause_id == "no-kv-cache"


def test_reader_does_not_take_a_variable_for_a_level() -> None:
    """A line that mentions NCCL_DEBUG=INFO is not an INFO line."""
    line = "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)"
    assert diagnose_log([line]).cause_id == "nccl-shared-memory-or-network"


LONG = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. "
    + "See the documentation. " * 20
)


@pytest.mark.parametrize(
    "template", ["vllm-1  | {}", "[pod/m/vllm] 2026-11-23T03:01:18.6Z {}", "(APIServer pid=1) {}"]
)
def test_reader_keeps_a_long_exception_with_its_stack(template: str) -> None:
    """The frame selects the rule, so the exception must not be assigned to another writer."""
    stack = [
        "WorkerProc failed to start.",
        TRACEBACK[1],
        '  File "/vllm/gpu_worker.py", line 1, in load_model',
        LONG,
    ]
    found = diagnose_log([template.format(PREFIX + line) for line in stack])
    assert (found.cause_id, found.evidence[0][:16]) == ("gpu-memory-at-load", "(EngineCore_DP0)")


def test_stripper_learns_a_prefix_with_a_level_from_a_traceback() -> None:
    marked = [f"2026-11-23 03:01:18,123 - INFO - {line}" for line in TRACEBACK[1:]]
    assert diagnose_log(marked).cause_id == "no-kv-cache"


def test_log_line_reads_vllm_lines_that_were_copied_without_their_logging_call() -> None:
    assert is_recognized(diagnose_log([line.replace("[core.py:708] ", "") for line in LOGGED]))


def test_reader_reads_a_traceback_to_which_the_collector_gave_the_level_info() -> None:
    lines = [json.dumps({"level": "info", "message": line}) for line in TRACEBACK[1:]]
    assert diagnose_log(lines).cause_id == "no-kv-cache"


def test_stripper_removes_the_html_of_a_copied_terminal() -> None:
    coloured = [
        '<font color="#2AA1B3"><b>(APIServer pid=18)</b></font> '
        + line.replace("'", "&apos;").replace('"', "&quot;")
        for line in TRACEBACK
    ]
    assert diagnose_log(["<pre>" + coloured[0], *coloured[1:]]).cause_id == "no-kv-cache"
