"""The CUDA image from wheels, built for real: takes minutes and 8 GB, needs no GPU.

CI runs it on a machine with enough disk; elsewhere it runs with `pytest -m slow`.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from images.build.local_name import reference
from images.build.pipeline import BuildOptions, build
from images.lock.lockfile import load
from launch.engine.images import find
from launch.spec.capabilities import Capabilities
from tests.images.every_image import FromWheels

if TYPE_CHECKING:
    from docker import DockerClient
    from testinfra.host import Host

pytestmark = [pytest.mark.timeout(2400), *([] if os.environ.get("CI") else [pytest.mark.slow])]

WHEEL = load().image("cuda", "wheel")


@pytest.fixture(scope="class")
def image(engine: DockerClient) -> str:
    folder = engine.info().get("DockerRootDir", "/")
    if find(engine, reference(WHEEL)) is None and shutil.disk_usage(folder).free < 30e9:
        pytest.skip(f"needs 30 GB of free disk at {folder}")
    return build(engine, WHEEL, BuildOptions(), lambda done, total, note: None).tag


class TestCudaWheel(FromWheels):
    platform, channel = "cuda", "wheel"
    max_gb = 7.6
    recorded = True

    def test_torch_is_the_cuda_build_for_supported_gpus(self, found: Capabilities) -> None:
        assert (found.torch_flavour, found.cuda.split(".")[0]) == ("cuda", "13")
        assert {"sm_80", "sm_90", "sm_100"} <= set(found.gpu_archs)

    def test_it_can_compile_kernels_at_run_time(self, host: Host) -> None:
        assert "release 13" in host.check_output("nvcc --version")
        done = host.run("cd /tmp && echo 'int f(){return 1;}' > a.cc && g++ -shared -fPIC -o a.so a.cc")
        assert done.rc == 0
        include = host.check_output("python3 -c 'import sysconfig; print(sysconfig.get_path(\"include\"))'")
        assert host.file(f"{include}/Python.h").exists  # for Triton's launchers

    def test_a_kernel_compiles_without_its_gpu(self, host: Host) -> None:
        kernel = "echo '__global__ void k(float* x) { x[0] = 1; }' > /tmp/k.cu"
        assert host.run(f"{kernel} && nvcc -arch=sm_90 -cubin -o /tmp/k.cubin /tmp/k.cu").rc == 0

    def test_the_wheel_includes_deep_gemm(self, host: Host) -> None:
        folder = "/opt/vllm/lib/python3*/site-packages/vllm/third_party/deep_gemm"
        assert host.run(f"ls -d {folder}").rc == 0

    def test_its_environment_is_set_for_the_container_toolkit(self, attrs: dict[str, Any]) -> None:
        assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(
            attrs["Config"]["Env"]
        )
