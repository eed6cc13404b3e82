"""Which lines complain, and which only inform."""

from __future__ import annotations

import pytest

from launch.diagnosis.complaints import Voice, is_typed, voice
from launch.diagnosis.log_line import parse_line
from launch.diagnosis.log_prefixes import PrefixStripper


def voice_of(raw: str) -> Voice:
    return voice(parse_line(next(PrefixStripper().strip(raw))))


@pytest.mark.parametrize(
    "line",
    [
        "(EngineCore pid=7) ERROR 11-23 02:58:24 [core.py:9] EngineCore failed to start.",
        "ERROR 11-23 02:58:24 a line without its logging call",
        "[2026-01-06 01:49:41,730 E 1 1] gcs_rpc_client.h:179: Failed to connect to GCS",
        "[1746690477.97] [n6:611  :0] ucp_worker.c:1855 UCX  ERROR no active messages transport",
        "[2026-08-20 09:20:00,123] LMCache ERROR: Failed to connect",
        "[rank1]:[E1127 10:00:00.1 ProcessGroupNCCL.cpp:683] Watchdog caught",
        "[ERROR] 2026-01-07-03:16:23 (PID:1, Device:-1) ERR99999",
        "ray.exceptions.ActorDiedError: The actor died",
        "CUDA Error: invalid argument at /csrc/cumem_allocator.cpp:119",
        "vllm serve: error: unrecognized arguments: --x",
        "nvidia-container-cli: initialization error: load library failed",
        "docker: Error response from daemon: failed to create shim task",
        "(autoscaler +13s) Error: No available node types can fulfill resource request",
        "w7x[info]AttributeError: X has no attribute y",
    ],
)
def test_voice_of_a_complaint(line: str) -> None:
    assert voice_of(line) is Voice.ERROR


@pytest.mark.parametrize(
    "line",
    [
        "(EngineCore pid=7) WARNING 11-23 02:58:24 [core.py:9] Casting torch.bfloat16 to torch.float16.",
        "gpu1:1:1 [0] misc/cudawrap.cc:179 NCCL WARN Failed to find CUDA library libcuda.so",
        "[1763541142.02] [d:196  :0]  ib_md.c:312  UCX  WARN  IB: memlock limit is 65536 kB",
        "/x/torch/cuda/__init__.py:61: FutureWarning: The pynvml package is deprecated.",
        "  Warning  Unhealthy  2m  kubelet  Readiness probe failed",
    ],
)
def test_voice_of_a_warning(line: str) -> None:
    assert voice_of(line) is Voice.WARNING


@pytest.mark.parametrize(
    "line",
    [
        "   docker run --gpus all --ipc=host --ulimit memlock=-1 --ulimit stack=67108864 ...",
        "/entrypoint.sh: line 12: nvcc: command not found",
        "NOTE: if you see CUDA out of memory, lower --gpu-memory-utilization",
        "  Normal   Pulled    7m  kubelet  Successfully pulled image",
        "(EngineCore pid=7) ERROR 05-13 10:46:44 [dump_input.py:72] Dumping input data for V1 LLM engine",
        "curl: (7) Failed to connect to metadata port 80: Connection refused",
    ],
)
def test_voice_of_a_notice(line: str) -> None:
    assert voice_of(line) is Voice.PLAIN


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("$ docker inspect m2 --format '{{.State.OOMKilled}}'", True),
        ("root@gpu-1:~# kubectl get events | grep OOMKilled", True),
        ("user@host:/data$ ./serve.sh", True),
        ("# GPU 0: out of memory", True),
        ("$ 12.50 a month", False),
        ("OOMKilled", False),
        ("ERROR 11-23 02:58:24 [core.py:9] # a line of a logger", False),
    ],
)
def test_a_typed_command_is_recognized(line: str, typed: bool) -> None:
    assert is_typed(parse_line(next(PrefixStripper().strip(line)))) is typed
