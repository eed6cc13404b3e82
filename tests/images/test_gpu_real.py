"""The CUDA and ROCm images on upstream's own bases; tested on hosts that built them, which needs a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from images.build.pipeline import reference
from images.lock.lockfile import load
from launch.engine.images import find
from tests.images.every_image import EveryImage

if TYPE_CHECKING:
    from docker import DockerClient


class OnUpstream(EveryImage):
    """Slipway adds a home, a user and labels to a base that is pulled by digest."""

    recorded = True
    max_gb = 40.0

    def test_it_adds_little_to_its_base(self, engine: DockerClient, attrs: dict[str, Any]) -> None:
        base = engine.images.get(attrs["Config"]["Labels"]["slipway.base"])
        assert attrs["Size"] - base.attrs["Size"] < 50e6

    def test_its_base_is_the_one_of_the_lock(self, attrs: dict[str, Any]) -> None:
        assert attrs["Config"]["Labels"]["slipway.base"] in load().platform(self.platform).base.references


@pytest.fixture(scope="class")
def image(engine: DockerClient, request: pytest.FixtureRequest) -> str:
    platform = request.cls.platform
    tag = reference(platform)
    if find(engine, tag) is None:
        pytest.skip(f"not built on this host: invoke build --platform {platform}")
    return tag


class TestCuda(OnUpstream):
    platform = "cuda"


class TestRocm(OnUpstream):
    platform = "rocm"


class TestRocmOpenai(OnUpstream):
    platform = "rocm-openai"
