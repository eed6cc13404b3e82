"""The CPU image, built from the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launch.recipes.parsers import rows
from tests.images.every_image import FromWheels, assert_no_compiler

if TYPE_CHECKING:
    from docker import DockerClient
    from testinfra.host import Host

    from launch.spec.capabilities import Capabilities

SITE = "/opt/vllm/lib/python3*/site-packages"


@pytest.fixture(scope="class")
def image(cpu_image: str) -> str:
    return cpu_image


class TestCpu(FromWheels):
    platform = "cpu"
    max_gb = 1.3
    recorded = True

    def test_vllm_prints_its_version(self, host: Host, attrs: dict[str, Any]) -> None:
        version = host.check_output("vllm --version 2>/dev/null").splitlines()[-1]
        assert version == attrs["Config"]["Labels"]["slipway.vllm"]

    def test_no_compiler_is_left(self, host: Host) -> None:
        assert_no_compiler(host)

    def test_torch_is_the_cpu_build_without_gpu_libraries(self, host: Host, attrs: dict[str, Any]) -> None:
        assert '"torch_flavour":"cpu"' in attrs["Config"]["Labels"]["slipway.capabilities"]
        assert host.run(f"ls -d {SITE}/nvidia* 2>/dev/null").stdout == ""

    def test_it_has_kernels_for_every_x86_64_cpu(self, host: Host) -> None:
        kernels = host.check_output(f"ls {SITE}/vllm/").split()
        assert {"_C.abi3.so", "_C_AVX2.abi3.so", "_C_AVX512.abi3.so"} <= set(kernels)

    def test_vllm_finds_the_plugin_once(self, host: Host) -> None:
        line = (
            "from importlib.metadata import entry_points as e; "
            "print([p.value for p in e(group='vllm.general_plugins') if 'slipway' in p.value])"
        )
        assert host.check_output(f'python3 -c "{line}"') == "['slipway_cpu:register']"

    def test_the_last_layer_holds_only_the_plugin(
        self, engine: DockerClient, image: str, attrs: dict[str, Any]
    ) -> None:
        """Because of this, a changed plugin does not change the capabilities (images/capabilities.py)."""
        commands = [layer["CreatedBy"] for layer in engine.images.get(image).history()]
        with_files = [line for line in commands if line.startswith(("COPY", "ADD", "RUN", "WORKDIR"))]
        assert with_files[0].startswith("COPY plugin/ /opt/slipway/")
        assert attrs["Config"]["Labels"]["slipway.layers.own"] == "1"

    def test_vllm_has_its_metadata_and_its_console_script_once(self, host: Host) -> None:
        assert host.check_output(f"ls -d {SITE}/vllm-*.dist-info | wc -l") == "1"
        scripts = f"grep -l console_scripts {SITE}/vllm*/entry_points.txt | wc -l"
        assert host.check_output(scripts) == "1"

    def test_it_has_the_parsers_of_models_without_a_recipe(self, found: Capabilities) -> None:
        assert {row.tool for row in rows()} - {""} <= found.tool_parsers
        assert {row.reasoning for row in rows()} - {""} <= found.reasoning_parsers

    def test_its_environment_is_set_for_a_cpu(self, attrs: dict[str, Any]) -> None:
        settings = attrs["Config"]["Env"]
        assert {"VLLM_CPU_OMP_THREADS_BIND=nobind", "VLLM_NO_USAGE_STATS=1"} <= set(settings)
        # The plan sets the size of the KV cache; a second value here would win over --kv-cache-memory-bytes.
        assert not any(line.startswith("VLLM_CPU_KVCACHE_SPACE") for line in settings)
