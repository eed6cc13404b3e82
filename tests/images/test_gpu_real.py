"""The CUDA and ROCm images on upstream's own bases; tested on hosts that built them, which needs a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from images.build.local_name import reference
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
        assert attrs["Config"]["Labels"]["slipway.base"] in self.locked().pins.base.references


@pytest.fixture(scope="class")
def image(engine: DockerClient, request: pytest.FixtureRequest) -> str:
    locked = request.cls.locked()
    tag = reference(locked)
    if find(engine, tag) is None:
        pytest.skip(f"not built on this host: invoke build {locked.options}")
    return tag


class TestCudaStable(OnUpstream):
    platform = "cuda"


class TestRocmStable(OnUpstream):
    platform = "rocm"


class TestCudaNightly(OnUpstream):
    platform, channel = "cuda", "nightly"


class TestRocmNightly(OnUpstream):
    platform, channel = "rocm", "nightly"
