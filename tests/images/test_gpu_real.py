"""The CUDA and ROCm images above upstream's own bases: tested where they were built, which takes their registry."""

import pytest

from images.build.pipeline import reference
from images.build.verify import existing
from images.lock.lockfile import load
from tests.images.every_image import EveryImage


class AboveUpstream(EveryImage):
    """Ours adds a home, a user and labels to a base that is pulled by digest."""

    recorded = True

    def test_it_stays_within_its_budget(self, engine, attrs):
        base = engine.images.get(attrs["Config"]["Labels"]["slipway.base"])
        assert attrs["Size"] - base.attrs["Size"] < 50e6

    def test_its_base_is_the_one_of_the_lock(self, attrs):
        assert attrs["Config"]["Labels"]["slipway.base"] in load().platform(self.platform).base.references


def built(engine, platform: str) -> str:
    tag = reference(platform)
    if existing(engine, tag) is None:
        pytest.skip(f"not built here: invoke build --platform {platform}")
    return tag


@pytest.fixture(scope="class")
def image(engine, request):
    return built(engine, request.cls.platform)


class TestCuda(AboveUpstream):
    platform = "cuda"


class TestRocm(AboveUpstream):
    platform = "rocm"


class TestRocmOpenai(AboveUpstream):
    platform = "rocm-openai"
