"""Two failures that print the same line have different causes, and each gets its own answer."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose, format_text
from launch.diagnosis.types import Confidence
from tests.unit.launch.diagnosis.test_rules import worker_traceback

JSON = "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
NO_REPOSITORY = "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'a/b': '/models/x'."
BUSY = "BlockingIOError: [Errno 11] Resource temporarily unavailable"
ARCHIVE = "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory"
GCC = "subprocess.CalledProcessError: Command '['/usr/bin/gcc', '/tmp/x/main.c']' returned non-zero exit status 1."
SHAPES = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x4096 and 2048x4096)"
ASSERTED = "torch.AcceleratorError: CUDA error: device-side assert triggered"
NCCL = "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)"
MOONCAKE = "RuntimeError: Mooncake Transfer Engine initialization failed."
TOO_MANY = "HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://{}/api/models/org/m"
KERNEL = "index.cu:1: indexSelectSmallIndex: block: [0,0,0], thread: [0,0,0] Assertion `{}` failed."


def diagnose_log(lines: list[str]) -> Diagnosis:
    return diagnose(DiagnosisInput(lines, exit_code=1))


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        (
            JSON,
            {
                "transformers/configuration_utils._dict": "config-damaged",
                "acme/hook.register": "json-damaged",
            },
        ),
        (
            NO_REPOSITORY,
            {
                "transformers/utils/hub.cached_file": "model-unknown",
                "vllm/config/speculative.__post_init__": "draft-model-missing",
                "vllm/lora/utils.get_adapter_absolute_path": "lora-repository",
            },
        ),
        (BUSY, {"filelock/_unix._acquire": "file-lock", "logging/__init__.emit": ""}),
        (
            ARCHIVE,
            {
                "vllm/model_executor/model_loader/weight_utils.pt_iterator": "weight-archive-damaged",
                "acme/cache.read": "archive-damaged",
            },
        ),
        (SHAPES, {"vllm/distributed/x/symm_mem.all_reduce": "symmetric-memory", "acme/model.forward": ""}),
        (
            "FileNotFoundError: No such file or directory: '/m/adapter_model.safetensors'",
            {"safetensors/torch.load_file": "lora-missing"},
        ),
        (
            "FileNotFoundError: No such file or directory: '/m/model-00001-of-00002.safetensors'",
            {"safetensors/torch.load_file": "shard-missing"},
        ),
        (TOO_MANY.format("huggingface.co"), {"huggingface_hub/utils/_http.f": "hub-limit"}),
        (TOO_MANY.format("images.example.org"), {"acme/images.fetch": "too-many-requests"}),
    ],
)
def test_the_part_or_object_that_failed_tells_causes_apart(message: str, answers: dict[str, str]) -> None:
    found = {place: diagnose_log(worker_traceback(message, place)).cause_id for place in answers}
    assert found == answers


@pytest.mark.parametrize(
    ("message", "before", "cause"),
    [
        (
            GCC,
            "/tmp/x/main.c:6:10: fatal error: Python.h: No such file or directory",
            "python-headers-missing",
        ),
        (GCC, "/usr/bin/ld: cannot find -lcuda: No such file or directory", "libcuda-link"),
        (GCC, "/entrypoint.sh: line 7: nvcc: command not found", "compiler-failed"),
        (GCC, 'NOTE: if you see "No space left on device", raise --shm-size', "compiler-failed"),
        (ASSERTED, KERNEL.format("srcIndex < srcSelectDimSize"), "index-outside-table"),
        (ASSERTED, KERNEL.format("totalElements <= srcSize"), "multimodal-scatter"),
        (ASSERTED, "(Worker pid=3) INFO 11-23 03:01:17 [x.py:1] all is well", "gpu-kernel-fault"),
        (
            NCCL,
            "n:1:2 [0] misc/shmutils.cc:87 NCCL WARN Error: failed to extend /dev/shm/x: Denied",
            "nccl-call",
        ),
        (
            NCCL,
            "n:1:2 [0] misc/socket.cc:1 NCCL WARN Bootstrap : no socket interface found",
            "nccl-interface",
        ),
    ],
)
def test_the_line_before_an_exception_tells_causes_apart(message: str, before: str, cause: str) -> None:
    assert diagnose_log([before, *worker_traceback(message)]).cause_id == cause


def test_a_family_that_reads_the_message_answers_before_one_that_knows_the_place() -> None:
    place = "vllm/config/device.__post_init__"
    assert diagnose_log(worker_traceback("RuntimeError: No CUDA GPUs are available", place)).cause_id == (
        "no-gpu-visible"
    )
    assert diagnose_log(worker_traceback("RuntimeError: 7 is too much", place)).cause_id == "configuration"


def test_a_cause_names_the_place_that_raised_the_exception() -> None:
    no_image = "RuntimeError: CUDA error: no kernel image is available for execution on the device"
    found = diagnose_log(worker_traceback(no_image, "bitsandbytes/backends/cuda/ops.dequantize"))
    assert "(bitsandbytes/backends/cuda/ops.dequantize)" in found.cause


def test_a_row_that_reads_only_a_later_exception_of_a_chain_is_a_possible_cause() -> None:
    link = "The above exception was the direct cause of the following exception:"
    later = "RuntimeError: vLLM failed to compile the model. The most likely reason for this is a previous failure"
    log = worker_traceback(
        "\n".join(
            [
                "LookupError: the frobnicator has no entry",
                "",
                link,
                "",
                "Traceback (most recent call last):",
                '  File "/vllm/x.py", line 1, in f',
                later,
            ]
        )
    )
    found = diagnose_log(log)
    assert (found.cause_id, found.confidence) == ("compile-cache", Confidence.LOW)
    assert found.evidence[0] == "(Worker_TP0) LookupError: the frobnicator has no entry"
    assert format_text(found).startswith("what: possibly: ")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("ImportError: /x/a.so: failed to map segment from shared object: Operation not permitted", "noexec"),
        (
            "ImportError: /x/a.so: failed to map segment from shared object: cannot allocate memory",
            "host-memory-refused",
        ),
        (
            "ValueError: The quantization method aqlm is deprecated and will be removed",
            "unknown-quantization",
        ),
        ("ValueError: The argument frob is deprecated and will be removed", ""),
        ("RuntimeError: MPS server is not running", "exclusive-process"),
        ("RuntimeError: MPS backend is not linked", ""),
        ("ValueError: requires Python >=3.10", "python-version"),
        ("ValueError: requires Python development headers", ""),
        ("ImportError: av is required", "vision-package"),
        ("RuntimeError: avx512 is required", ""),
    ],
)
def test_a_phrase_is_read_with_the_words_that_tell_it_apart(message: str, cause: str) -> None:
    assert diagnose_log(worker_traceback(message)).cause_id == cause
