"""A report contains no token, host, user, address, path or prompt, and still tells what failed."""

from __future__ import annotations

import pytest

from launch.diagnosis.redaction import redact_lines


@pytest.mark.parametrize(
    ("private", "line"),
    [
        ("hf_AbCdEfGhIjKl", "401 for token hf_AbCdEfGhIjKl"),
        ("sk-proj-0123456789", "Authorization: Bearer sk-proj-0123456789"),
        ("abc.def/ghi", "Authorization: Bearer abc.def/ghi"),
        ("s3cret", "password=s3cret, user=x"),
        ("topsecret", "non-default args: {'api_key': ['topsecret'], 'port': 8000}"),
        ("AKIAABCDEFGHIJKLMNOP", "AWS_ACCESS_KEY_ID: AKIAABCDEFGHIJKLMNOP"),
        ("pw", "HTTPS_PROXY http://bob:pw@proxy.corp.example.net:3128"),
        ("alice", "PermissionError: [Errno 13] Permission denied: '/home/alice/models/x'"),
        ("secret-model", "OSError: /data/secret-model/config.json is not valid"),
        ("10.20.30.40", "client socket has timed out while trying to connect to (10.20.30.40, 29500)"),
        ("fe80::1ff:fe23:4567:890a", "bind to fe80::1ff:fe23:4567:890a failed"),
        ("gpu07.cluster.corp", "TCPStore: gpu07.cluster.corp:29500 refused"),
        ("gpu-node-7", "gpu-node-7:12:12 [0] NCCL INFO cudaDriverVersion 13000"),
        ("gpu-node-7", "[1763541142.02] [gpu-node-7:196  :0]  ib_md.c:312  UCX  WARN  IB"),
        ("gpu-node-7", "Nov 20 10:11:12 gpu-node-7 vllm[77]: INFO"),
        ("bob@corp.de", "contact bob@corp.de"),
        ("my diary", "Received request 7: prompt: 'read my diary', params: SamplingParams(n=1)"),
    ],
)
def test_redact_lines_replaces_private_text(private: str, line: str) -> None:
    assert private in line
    assert private not in redact_lines([line])[0]


@pytest.mark.parametrize(
    "line",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
        "(EngineCore pid=16) ERROR 11-23 02:58:24 [core.py:1510] EngineCore failed to start.",
        "huggingface_hub.errors.GatedRepoError: 401 Client Error for https://huggingface.co/a/b",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.",
        "Error while creating shared memory segment /dev/shm/nccl-eEGCoa (size 9637888)",
        "INFO 08-20 [api_server.py:1] vLLM API server version 0.26.0 on http://0.0.0.0:8000 and 127.0.0.1",
        "max_num_batched_tokens=8192, tokens: 4096",
    ],
)
def test_redact_lines_keeps_what_tells_of_the_failure(line: str) -> None:
    assert redact_lines([line]) == [line]


def test_redact_lines_keeps_the_path_inside_a_package() -> None:
    line = '  File "/home/alice/venv/lib/python3.12/site-packages/vllm/v1/engine/core.py", line 7, in run'
    assert "site-packages/vllm/v1/engine/core.py" in redact_lines([line])[0]


def test_redact_lines_uses_the_same_placeholder_for_the_same_text() -> None:
    first, second, third = redact_lines(
        ["peer 10.0.0.7 joined", "peer 10.0.0.8 joined", "peer 10.0.0.7 left"]
    )
    assert first.split()[1] == third.split()[1] != second.split()[1]


def test_redact_lines_replaces_a_name_that_a_later_line_reveals() -> None:
    assert "alice" not in "\n".join(redact_lines(["owner is alice", "cannot read /home/alice/x/y"]))
