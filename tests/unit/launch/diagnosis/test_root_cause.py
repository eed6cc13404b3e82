"""Which of several exceptions and lines is the cause, and what is shown where none is known."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose, text

PREFIX = "(EngineCore pid=16) ERROR 11-23 02:58:24 [core.py:9] "
START = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'model': 'm'}\n"
GONE = (
    "(APIServer pid=1) Traceback (most recent call last):\n"
    '(APIServer pid=1)   File "/vllm/v1/engine/utils.py", line 9, in wait_for_engine_startup\n'
    "(APIServer pid=1) RuntimeError: Engine core initialization failed. Failed core proc(s): {}\n"
)
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
WHILE = "During handling of the above exception, another exception occurred:"
FROM = "The above exception was the direct cause of the following exception:"


def raised(*lines: str, code: str = "return f()") -> str:
    """A traceback of the engine core; a link between two exceptions begins the next one's stack."""
    stack = ["Traceback (most recent call last):", '  File "/vllm/x.py", line 1, in f', f"    {code}"]
    said = ["EngineCore failed to start.", *stack]
    for line in lines:
        said += ["", line, "", *stack] if line in (WHILE, FROM) else [line]
    return "".join(f"{PREFIX}{line}\n" for line in said)


def explain(log: str, exit_code: int | None = 1) -> Diagnosis:
    return diagnose(Evidence(log.splitlines(), exit_code))


def test_what_was_only_tried_is_not_the_cause_of_what_failed_then() -> None:
    found = explain(raised("ModuleNotFoundError: No module named 'flash_attn'", WHILE, OOM))
    assert found.cause_id == "gpu-memory"
    assert explain(raised("ModuleNotFoundError: No module named 'flash_attn'", FROM, OOM)).cause_id == (
        "broken-install"
    )


def test_a_bare_assertion_is_shown_with_the_line_that_made_it() -> None:
    found = explain(raised("AssertionError", code="assert the_moon.is_new()"))
    assert found.first_exception == "AssertionError assert the_moon.is_new()"


def test_a_bare_assertion_can_be_known_by_the_line_that_made_it() -> None:
    found = explain(raised("AssertionError", code="assert is_mixture_of_experts(self.model)"))
    assert found.cause_id == "not-a-mixture-of-experts"


def test_where_nothing_is_known_both_ends_of_the_chain_are_shown() -> None:
    found = explain(raised("KeyError: 'moon'", FROM, "ValueError: no such satellite"))
    assert found.proof == ("(EngineCore) KeyError: 'moon'", "(EngineCore) ValueError: no such satellite")


NVCC = "/bin/sh: 1: nvcc: not found\n"
REPO = "(APIServer pid=1) ERROR 11-23 02:58:00 [config.py:3] Repo id must be in the form 'a/b': '/models/m'\n"


def test_lines_before_an_unknown_exception_may_explain_it_but_not_lines_after_it() -> None:
    unknown = raised("ValueError: the moon is full")
    assert explain(NVCC + unknown).cause_id == "nvcc-missing"
    assert not explain(unknown + NVCC).known


def test_what_vllm_logged_elsewhere_does_not_explain_an_unknown_exception() -> None:
    assert explain(REPO).cause_id == "model-unknown"
    assert (
        explain(REPO + raised("ValueError: the moon is full")).first_exception
        == "ValueError: the moon is full"
    )


def test_an_error_that_vllm_always_survives_is_never_the_cause() -> None:
    noise = REPO.replace("Repo id", "Error retrieving safetensors: Repo id")
    assert explain(noise, exit_code=None).cause == "no failure in this log"


def test_a_warning_of_cuda_explains_why_no_gpu_is_seen() -> None:
    warning = (
        "/torch/cuda/__init__.py:182: UserWarning: CUDA initialization: Unexpected error from "
        "cudaGetDeviceCount(). Error 803: system has unsupported display driver / cuda driver combination\n"
    )
    unseen = raised("RuntimeError: No CUDA GPUs are available")
    assert explain(warning + unseen).cause_id == "cuda-compat-libraries"
    assert explain(unseen).cause_id == "no-gpu-visible"


def test_a_log_that_ends_inside_a_traceback_shows_where_it_stands() -> None:
    found = explain("\n".join(raised(code="self.load_model()").splitlines()), exit_code=None)
    assert (
        found.cause == "the log is cut off inside a traceback, before its exception; where it stands is shown"
    )
    assert found.proof == ("x.f: self.load_model()",)


def test_of_a_log_that_begins_too_late_only_consequences_are_left() -> None:
    tail = "".join(line.removeprefix("(APIServer pid=1) ") + "\n" for line in GONE.splitlines()[1:])
    assert explain(tail).cause == "the log holds only consequences; what caused them is not in it"


def test_a_process_that_ends_without_a_word_is_told_from_one_whose_library_spoke() -> None:
    assert explain(START + GONE).cause_id == "killed"
    found = explain(START + "CCL_ERROR| ze_fd_manager.cpp:144 init_device_fds: condition dir failed\n" + GONE)
    assert not found.known


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("/entrypoint.sh: line 12:    31 Killed                  vllm serve m", "killed"),
        ("Killed", "killed"),
        ("Bus error (core dumped)", "bus-error"),
        ("Aborted (core dumped)", "aborted"),
        ("run.sh: line 3: 8 Segmentation fault      (core dumped) vllm serve m", "segmentation-fault"),
        ("vllm-1 exited with code 137", "killed"),
        ("      Exit Code:    139", "segmentation-fault"),
        ("traps: VLLM::Worker[18] trap divide error ip:7f sp:7f error:0 in prefill.so", "arithmetic"),
        ("(Worker pid=3) Fatal Python error: Bus error", "bus-error"),
    ],
)
def test_the_shell_s_words_tell_the_signal(words: str, cause: str) -> None:
    assert explain(START + words, exit_code=None).cause_id == cause


def test_a_cause_leaves_out_what_the_log_does_not_say() -> None:
    old = explain(raised("RuntimeError: CUDA driver version is insufficient for CUDA runtime version"))
    assert old.cause.startswith("the NVIDIA driver is older than the image's CUDA")
    found = explain(
        raised("RuntimeError: The NVIDIA driver on your system is too old (found version 12020).")
    )
    assert "the NVIDIA driver (CUDA 12020) is older" in text(found)
