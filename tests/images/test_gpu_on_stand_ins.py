"""The CUDA and ROCm Dockerfiles above stand-ins for upstream's images (stand_in.py says what that proves)."""

import pytest

from errors import Failed
from images.build.pipeline import BuildOptions, build, reference
from images.build.verify import existing
from images.capabilities import LABEL, parse
from tests.images import stand_in
from tests.images.every_image import EveryImage


def quiet(done, total, note):
    """Progress that nobody reads."""


class Above:
    """Build a platform above its stand-in for the length of a class, then take both away."""

    @pytest.fixture(scope="class")
    @classmethod
    def image(cls, engine, request):
        base = stand_in.build(engine, cls.platform)
        built = build(engine, cls.platform, BuildOptions(base=base), quiet)
        yield built.tag
        engine.images.remove(built.tag)
        engine.images.remove(base)


class TestRocmOnAStandIn(Above, EveryImage):
    platform = "rocm"
    largest = 0.2

    def test_the_contract_says_hip(self, attrs):
        found = parse(attrs["Config"]["Labels"][LABEL])
        assert (found.torch_flavour, found.gpu_archs, found.python) == ("hip", (), "3.12.13")

    def test_it_has_not_the_name_of_the_real_one(self, image):
        assert image.startswith(reference("rocm") + "-above-")


class TestRocmOpenaiOnAStandIn(Above, EveryImage):
    platform = "rocm-openai"
    largest = 0.2


class TestCudaOnAStandIn(Above, EveryImage):
    platform = "cuda"
    largest = 0.2

    def test_the_contract_names_the_gpu_architectures(self, attrs):
        found = parse(attrs["Config"]["Labels"][LABEL])
        assert (found.torch_flavour, found.cuda, found.gpu_archs) == ("cuda", "13.0", ("sm_90", "sm_100"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "0.20.2"}, "vLLM is 0.20.2, the lock says 0.21.0rc1"),
        ({"commit": "0" * 40}, "vLLM's commit is 000000000"),
        ({"hip": "", "cuda": "13.0"}, "torch is the cuda build, rocm needs hip"),
        ({"hip": ""}, "torch is the cpu build"),
    ],
)
class TestAStaleStandIn:
    """A new tag with an old wheel inside (vLLM #44759) gets no name and leaves nothing."""

    @pytest.fixture(autouse=True)
    def recorded(self):
        """No image, no record."""

    def test_is_refused_and_leaves_no_image(self, engine, changed, said):
        base = stand_in.build(engine, "rocm", **changed)
        before = {image.id for image in engine.images.list()}
        try:
            with pytest.raises(Failed, match="not what the lock says") as failed:
                build(engine, "rocm", BuildOptions(base=base), quiet)
            assert said in failed.value.why
            assert {image.id for image in engine.images.list()} == before
            assert not [t for i in engine.images.list("slipway/vllm-rocm") for t in i.tags if base[-8:] in t]
        finally:
            engine.images.remove(base)
        assert existing(engine, base) is None
