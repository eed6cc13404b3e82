"""The CUDA and ROCm Dockerfiles on stand-ins for upstream's images; stand_in.py describes what that shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from errors import Failed
from images.build.local_name import reference
from images.build.pipeline import BuildOptions, build
from images.lock.lockfile import load
from launch.engine.images import find
from launch.spec.capabilities import Capabilities
from tests.images import stand_in
from tests.images.every_image import EveryImage

if TYPE_CHECKING:
    from docker import DockerClient


NIGHTLY = load().image("rocm", "nightly")


def ignore(done: float, total: float | None, note: str) -> None:
    """Show no progress."""


class OnStandIn(EveryImage):
    """Build a platform on its stand-in for the tests of a class, then remove both images."""

    max_gb = 0.2

    @pytest.fixture(scope="class")
    @classmethod
    def image(cls, engine: DockerClient) -> Iterator[str]:
        base = stand_in.build(engine, cls.locked())
        tag = build(engine, cls.locked(), BuildOptions(base=base), ignore).tag
        yield tag
        engine.images.remove(tag)
        engine.images.remove(base)


class TestRocmOnAStandIn(OnStandIn):
    platform = "rocm"

    def test_the_capabilities_name_hip(self, found: Capabilities) -> None:
        assert (found.torch_flavour, found.gpu_archs, found.python) == ("hip", (), "3.12.13")

    def test_its_tag_differs_from_the_real_image(self, image: str) -> None:
        assert image.startswith(reference(self.locked()) + "-above-")


class TestRocmNightlyOnAStandIn(OnStandIn):
    platform, channel = "rocm", "nightly"


class TestCudaOnAStandIn(OnStandIn):
    platform = "cuda"

    def test_the_capabilities_name_the_gpu_architectures(self, found: Capabilities) -> None:
        assert (found.torch_flavour, found.cuda, found.gpu_archs) == ("cuda", "13.0", ("sm_90", "sm_100"))


class TestCudaNightlyOnAStandIn(OnStandIn):
    platform, channel = "cuda", "nightly"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": "0.20.2"}, "vLLM is 0.20.2, the lock has 0.21.0rc1"),
        ({"commit": "0" * 40}, "vLLM's commit is 000000000"),
        ({"hip": "", "cuda": "13.0"}, "torch is the cuda build, rocm needs hip"),
        ({"hip": ""}, "torch is the cpu build"),
    ],
)
class TestOutdatedStandIn:
    """A new tag with an old wheel inside (vLLM #44759) is not tagged and leaves no image."""

    @pytest.fixture(autouse=True)
    def recorded(self) -> None:
        """These tests record no image as tested."""

    def test_build_refuses_it_and_leaves_no_image(
        self, engine: DockerClient, changed: dict[str, str], message: str
    ) -> None:
        base = stand_in.build(engine, NIGHTLY, **changed)
        before = {image.id for image in engine.images.list()}
        try:
            with pytest.raises(Failed, match="the image differs from the lock") as failed:
                build(engine, NIGHTLY, BuildOptions(base=base), ignore)
            assert message in failed.value.why
            assert {image.id for image in engine.images.list()} == before
        finally:
            engine.images.remove(base)
        assert find(engine, base) is None
