"""Real vLLM below a plan for CUDA: the CPU image is the base, and tells the probe that it is a CUDA build.

vLLM runs on the CPU, so this shows that it accepts options, user, mounts and environment of such a plan,
and nothing about GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from images.lock.lockfile import load
from tests.conftest import MODEL
from tests.hosts.conftest import NewHost
from tests.hosts.engines import start_docker_with_toolkit
from tests.hosts.every_host import inspect
from tests.hosts.gpus import show_h200
from tests.hosts.inputs import Downloads, lock, push
from tests.hosts.simulated_host import SimulatedHost
from tests.images.stand_in import tar
from tests.registry import serving

if TYPE_CHECKING:
    from docker import DockerClient

# Python runs this line at its start. Only the probe sees a CUDA build: vLLM itself would look for NVIDIA's libraries.
CUDA_FOR_THE_PROBE = (
    "import sys; exec(\"import torch; torch.version.cuda = '13.0'; torch._C._cuda_getArchFlags = lambda: 'sm_90'\")"
    " if any('Print an image' in word for word in sys.orig_argv) else None\n"
)
# What two ranks on a small CPU need: launch/recipes/builtin/slipway/MiniMax-M2-tiny.yaml has the reasons.
DOCKERFILE = """\
FROM {cpu_image}
USER 0
COPY stand-in-cuda.pth /tmp/
RUN mv /tmp/stand-in-cuda.pth /opt/vllm/lib/python3*/site-packages/
ENV VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1 TORCHDYNAMO_DISABLE=1
"""


@pytest.fixture
def host(
    engine: DockerClient, cpu_image: str, downloads: Downloads, new_host: NewHost, nvml_library: Path
) -> Iterator[SimulatedHost]:
    """A host of eight H200 whose lock has the CPU image as base."""
    files = {"Dockerfile": DOCKERFILE.format(cpu_image=cpu_image), "stand-in-cuda.pth": CUDA_FOR_THE_PROBE}
    tag = "slipway-test/cpu-vllm-as-cuda:1"
    engine.images.build(fileobj=tar(files), custom_context=True, tag=tag, rm=True, forcerm=True)
    with serving.running(serving.program(), downloads.registry.parent) as registry:
        digest = push(engine, registry, tag, "cuda")
    version = load().image("cpu").pins.vllm.version
    file = downloads.hub.parent / "cpu-as-cuda.lock.yaml"
    file.write_text(lock("cuda", digest, vllm={"version": version, "source": "inside the base"}, python={}))
    with new_host("cuda") as one:
        one.env["SLIPWAY_LOCK"] = str(file)
        show_h200(one, nvml_library)
        start_docker_with_toolkit(one)
        yield one


@pytest.mark.slow
def test_real_vllm_accepts_the_plan_of_a_cuda_host(host: SimulatedHost) -> None:
    built = host.invoke("build", "--platform", "cuda", "--format", "json").json
    host.invoke("fetch", MODEL).ok()
    run = host.invoke("run", MODEL, "--gpus", "2", "--set", "--enforce-eager", "--format", "json")
    assert run.events[-1]["kv_tokens"] > 0
    assert inspect(host, run.events[-1]["name"])["Image"] == built["id"]
    assert host.invoke("chat", "What is a slipway?", "--max-tokens", "8").ok().out.strip()
    host.invoke("stop").ok()
