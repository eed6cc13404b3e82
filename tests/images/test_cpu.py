"""The CPU image as it is built from the lock."""

import pytest

from tests.images.every_image import FromWheels, no_compiler


@pytest.fixture(scope="class")
def image(cpu_image):
    return cpu_image


class TestCpu(FromWheels):
    platform = "cpu"
    largest = 1.3
    recorded = True

    def test_vllm_says_its_version(self, host, attrs):
        said = host.check_output("vllm --version 2>/dev/null").splitlines()[-1]
        assert said == attrs["Config"]["Labels"]["slipway.vllm"]

    def test_no_compiler_is_left(self, host):
        no_compiler(host)

    def test_torch_is_the_cpu_build_and_no_gpu_library_came_along(self, host, attrs):
        assert '"torch_flavour":"cpu"' in attrs["Config"]["Labels"]["slipway.capabilities"]
        assert host.run("ls -d /opt/vllm/lib/python3*/site-packages/nvidia* 2>/dev/null").stdout == ""

    def test_it_stays_portable(self, host):
        kernels = host.check_output("ls /opt/vllm/lib/python3*/site-packages/vllm/").split()
        assert {"_C.abi3.so", "_C_AVX2.abi3.so", "_C_AVX512.abi3.so"} <= set(kernels)

    def test_the_plugin_for_minimax_is_found_once(self, host):
        line = (
            "from importlib.metadata import entry_points as e; "
            "print([p.value for p in e(group='vllm.general_plugins') if 'slipway' in p.value])"
        )
        assert host.check_output(f'python3 -c "{line}"') == "['slipway_cpu:register']"

    def test_nothing_but_the_plugin_lies_above_vllm(self, engine, image, attrs):
        """Which is why a changed plugin does not change the contract (images/capabilities.py)."""
        made = [row["CreatedBy"] for row in engine.images.get(image).history()]
        files = [one for one in made if one.startswith(("COPY", "ADD", "RUN", "WORKDIR"))]
        assert files[0].startswith("COPY plugin/ /opt/slipway/")
        assert attrs["Config"]["Labels"]["slipway.layers.own"] == "1"

    def test_the_metadata_of_vllm_stands_once(self, host):
        assert host.check_output("ls -d /opt/vllm/lib/python3*/site-packages/vllm-*.dist-info | wc -l") == "1"
        assert (
            host.check_output(
                "grep -l console_scripts /opt/vllm/lib/python3*/site-packages/vllm*/entry_points.txt | wc -l"
            )
            == "1"
        )

    def test_its_settings_are_those_a_cpu_needs(self, attrs):
        assert {
            "VLLM_CPU_KVCACHE_SPACE=1",
            "VLLM_CPU_OMP_THREADS_BIND=nobind",
            "VLLM_NO_USAGE_STATS=1",
        } <= set(attrs["Config"]["Env"])
