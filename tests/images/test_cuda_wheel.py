"""The CUDA image from the package index's wheels on a plain base, built for real: minutes, 8 GB, no GPU needed.

CI runs it where the disk has room; elsewhere it is one of those that run when asked for by name.
"""

import os
import shutil

import pytest

from images.build.pipeline import BuildOptions, build
from images.build.verify import existing
from images.capabilities import LABEL, parse
from tests.images.every_image import FromWheels

pytestmark = [pytest.mark.timeout(2400), *([] if os.environ.get("CI") else [pytest.mark.slow])]


@pytest.fixture(scope="class")
def image(engine):
    """Built, or skipped where the engine's disk has not the room that CI's has."""
    from images.build.pipeline import reference

    place = engine.info().get("DockerRootDir", "/")
    if existing(engine, reference("cuda-wheel")) is None and shutil.disk_usage(place).free < 30e9:
        pytest.skip(f"30 GB of free disk are needed at {place}")
    return build(engine, "cuda-wheel", BuildOptions(), lambda done, total, note: None).tag


class TestCudaWheel(FromWheels):
    platform = "cuda-wheel"
    largest = 7.6
    recorded = True

    def test_torch_is_the_cuda_build_for_the_guides_gpus(self, attrs):
        found = parse(attrs["Config"]["Labels"][LABEL])
        assert (found.torch_flavour, found.cuda.split(".")[0]) == ("cuda", "13")
        assert {"sm_80", "sm_90", "sm_100"} <= set(found.gpu_archs)

    def test_it_can_compile_kernels_when_it_serves(self, host):
        assert "release 13" in host.check_output("nvcc --version")
        made = host.run("cd /tmp && echo 'int f(){return 1;}' > a.cc && g++ -shared -fPIC -o a.so a.cc")
        assert made.rc == 0
        include = host.check_output("python3 -c 'import sysconfig; print(sysconfig.get_path(\"include\"))'")
        assert host.file(f"{include}/Python.h").exists  # Triton's launchers

    def test_a_kernel_compiles_for_a_gpu_that_is_not_here(self, host):
        kernel = "echo '__global__ void k(float* x) { x[0] = 1; }' > /tmp/k.cu"
        assert host.run(f"{kernel} && nvcc -arch=sm_90 -cubin -o /tmp/k.cubin /tmp/k.cu").rc == 0

    def test_deep_gemm_came_with_the_wheel(self, host):
        assert host.run("ls -d /opt/vllm/lib/python3*/site-packages/vllm/third_party/deep_gemm").rc == 0

    def test_the_container_toolkit_is_told_what_it_needs(self, attrs):
        assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(
            attrs["Config"]["Env"]
        )
