"""Select the cause among several exceptions and lines; show the best evidence if no rule matches."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose, format_text

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
    """Return a traceback of the engine core; a linking sentence starts the next exception."""
    stack = ["Traceback (most recent call last):", '  File "/vllm/x.py", line 1, in f', f"    {code}"]
    printed = ["EngineCore failed to start.", *stack]
    for line in lines:
        printed += ["", line, "", *stack] if line in (WHILE, FROM) else [line]
    return "".join(f"{PREFIX}{line}\n" for line in printed)


def diagnose_log(log: str, exit_code: int | None = 1) -> Diagnosis:
    return diagnose(DiagnosisInput(log.splitlines(), exit_code))


def test_diagnose_skips_a_handled_lookup_before_the_real_exception() -> None:
    found = diagnose_log(raised("ModuleNotFoundError: No module named 'flash_attn'", WHILE, OOM))
    assert found.cause_id == "gpu-memory"
    assert diagnose_log(raised("ModuleNotFoundError: No module named 'flash_attn'", FROM, OOM)).cause_id == (
        "flash-attn-package"
    )


def test_diagnose_shows_a_bare_assertion_with_its_code() -> None:
    found = diagnose_log(raised("AssertionError", code="assert values.are_valid()"))
    assert found.first_exception == "AssertionError assert values.are_valid()"


def test_diagnose_matches_a_bare_assertion_by_its_code() -> None:
    found = diagnose_log(raised("AssertionError", code="assert is_mixture_of_experts(self.model)"))
    assert found.cause_id == "not-a-mixture-of-experts"


def test_diagnose_shows_both_ends_of_an_unknown_chain() -> None:
    found = diagnose_log(raised("KeyError: 'layer'", FROM, "ValueError: unknown layer"))
    assert found.evidence == ("(EngineCore) KeyError: 'layer'", "(EngineCore) ValueError: unknown layer")


NVCC = "/bin/sh: 1: nvcc: not found\n"
REPO = "(APIServer pid=1) ERROR 11-23 02:58:00 [config.py:3] Repo id must be in the form 'a/b': '/models/m'\n"


def test_diagnose_explains_an_exception_by_lines_before_it_but_not_after_it() -> None:
    build = raised("RuntimeError: Ninja build failed.")
    assert diagnose_log(NVCC + build).cause_id == "nvcc-missing"
    assert diagnose_log(build + NVCC).cause_id == "jit-build"


def test_diagnose_does_not_explain_an_exception_by_an_unrelated_line() -> None:
    assert not diagnose_log(NVCC + raised("ValueError: invalid value")).known


def test_diagnose_ignores_logged_errors_if_an_unknown_exception_ended_the_server() -> None:
    assert diagnose_log(REPO).cause_id == "model-unknown"
    assert (
        diagnose_log(REPO + raised("ValueError: invalid value")).first_exception
        == "ValueError: invalid value"
    )


def test_diagnose_ignores_non_fatal_errors() -> None:
    noise = REPO.replace("Repo id", "Error retrieving safetensors: Repo id")
    assert diagnose_log(noise, exit_code=None).cause == "no failure in this log"


def test_diagnose_uses_a_cuda_warning_as_the_cause() -> None:
    warning = (
        "/torch/cuda/__init__.py:182: UserWarning: CUDA initialization: Unexpected error from "
        "cudaGetDeviceCount(). Error 803: system has unsupported display driver / cuda driver combination\n"
    )
    unseen = raised("RuntimeError: No CUDA GPUs are available")
    assert diagnose_log(warning + unseen).cause_id == "cuda-compat-libraries"
    assert diagnose_log(unseen).cause_id == "no-gpu-visible"


def test_diagnose_shows_the_innermost_frame_of_a_truncated_traceback() -> None:
    found = diagnose_log("\n".join(raised(code="self.load_model()").splitlines()), exit_code=None)
    assert (
        found.cause == "the log ends inside a traceback, before its exception; the innermost frame is shown"
    )
    assert found.evidence == ("x.f: self.load_model()",)


def test_diagnose_reports_consequences_only_for_a_log_without_its_beginning() -> None:
    tail = "".join(line.removeprefix("(APIServer pid=1) ") + "\n" for line in GONE.splitlines()[1:])
    assert diagnose_log(tail).cause == "the log contains only consequences, not their cause"


def test_diagnose_does_not_conclude_a_kill_if_a_library_printed_an_error() -> None:
    assert diagnose_log(START + GONE).cause_id == "killed"
    found = diagnose_log(START + "CCL_ERROR| coll_param.cpp:77 check: condition buf failed\n" + GONE)
    assert not found.known


@pytest.mark.parametrize(
    ("line", "cause"),
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
def test_diagnose_recognizes_a_signal_from_the_message_of_a_shell(line: str, cause: str) -> None:
    assert diagnose_log(START + line, exit_code=None).cause_id == cause


def test_diagnose_leaves_out_optional_parts_of_a_cause() -> None:
    old = diagnose_log(raised("RuntimeError: CUDA driver version is insufficient for CUDA runtime version"))
    assert old.cause.startswith("the NVIDIA driver is older than the CUDA of the image")
    found = diagnose_log(
        raised("RuntimeError: The NVIDIA driver on your system is too old (found version 12020).")
    )
    assert "the NVIDIA driver (CUDA 12020) is older" in format_text(found)


def test_diagnose_reads_the_stack_of_a_remote_worker_of_ray() -> None:
    log = (
        "INFO 03-18 10:00:00 [ray_utils.py:1] Initializing a V1 LLM engine\n"
        "Traceback (most recent call last):\n"
        '  File "/x/ray_executor.py", line 1, in f\n'
        "ray.exceptions.RayTaskError(OutOfMemoryError): ray::RayWorkerWrapper.execute_method() (pid=1)\n"
        '  File "/x/gpu_worker.py", line 1, in load_model\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.\n"
    )
    assert diagnose_log(log).cause_id == "gpu-memory-at-load"


def test_diagnose_prefers_the_failure_of_one_rank_to_what_another_noticed() -> None:
    noticed = raised(
        "torch.distributed.DistBackendError: NCCL error: remote process exited or there was a network error"
    )
    noticed = noticed.replace("(EngineCore pid=16)", "(Worker_TP0 pid=17)")
    assert diagnose_log(noticed).cause_id == "peer-ended"
    assert diagnose_log(
        noticed + raised(OOM).replace("(EngineCore pid=16)", "(Worker_TP1 pid=18)")
    ).cause_id == ("gpu-memory")


@pytest.mark.parametrize(
    "line",
    [
        "ERROR 11-19 07:08:46 [engine.py:158] TimeoutError('No heartbeat received from MQLLMEngine')",
        "CRITICAL 11-19 07:08:46 [launcher.py:82] AsyncLLMEngine has failed, terminating server process",
    ],
)
def test_diagnose_knows_that_a_server_of_the_old_engine_ended(line: str) -> None:
    served = [
        "INFO 11-19 06:08:46 [api_server.py:528] vLLM API server version 0.6.3.post1",
        "INFO:     Application startup complete.",
        'INFO:     10.0.0.1:1 - "POST /v1/completions HTTP/1.1" 200 OK',
    ]
    assert diagnose_log("\n".join(served), exit_code=None).outcome == "healthy"
    assert diagnose_log("\n".join([*served, line]), exit_code=None).outcome in ("named", "unknown")


def test_diagnose_reads_a_stack_whose_first_lines_are_cut_off() -> None:
    log = "".join(
        f"{PREFIX}{line}\n"
        for line in (
            "    return self.run(x)",
            '  File "/x/site-packages/vllm/model_executor/models/deepseek_v2.py", line 6, in sparse_attn_indexer',
            "    logits = fp8_mqa_logits(",
            "RuntimeError: DeepGEMM backend is not available or outdated.",
        )
    )
    assert diagnose_log(log + GONE).cause_id == "sparse-attention-deep-gemm"
