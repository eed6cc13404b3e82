"""The images that Slipway built: which are listed, and which are removed as old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed
from images import capabilities
from images.build.local_name import reference
from images.built_images import BuiltImage, built_images, remove_old
from images.lock.lockfile import load

MADE = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())


def row(tag: str, image: str, vllm: str = "0.32.0") -> dict[str, Any]:
    labels = {capabilities.LABEL: "{}", "slipway.vllm": vllm} if vllm else {}
    return {"Id": image, "RepoTags": [tag], "Labels": labels, "Size": 10**9, "Created": MADE}


class Engine:
    """The calls of an engine that built_images uses."""

    def __init__(self, *rows: dict[str, Any], fails: bool = False) -> None:
        self.removed: list[str] = []
        self.fails = fails
        containers = [{"ImageID": "sha256:used"}]
        self.api = SimpleNamespace(images=lambda: list(rows), containers=lambda all: containers)
        self.images = SimpleNamespace(remove=self._remove)

    def _remove(self, tag: str) -> None:
        from docker.errors import APIError

        if self.fails:
            raise APIError("conflict", explanation="image is being used")
        self.removed.append(tag)


def engine(**facts: Any) -> Any:
    return Engine(
        row(reference(load().image("cpu")), "sha256:current"),
        row("slipway/vllm-cpu:0.30.0-aaaaaaaaaaaa", "sha256:used", "0.30.0"),
        row("localhost/slipway/vllm-cpu:0.31.0-bbbbbbbbbbbb", "sha256:old", "0.31.0"),
        row("slipway/base-bookworm:cccccccccccc", "sha256:base", ""),
        row("vllm/vllm-openai:v0.32.0", "sha256:upstream"),
        {"Id": "sha256:none", "RepoTags": None, "Labels": None, "Size": 1, "Created": MADE},
        **facts,
    )


def test_images_of_slipway_are_listed_with_their_state() -> None:
    states = {image.id: image.state for image in built_images(engine(), load())}
    assert states == {
        "sha256:current": "current",
        "sha256:used": "in use",
        "sha256:old": "old",
        "sha256:base": "base",
    }


def test_only_old_images_are_removed() -> None:
    client = engine()
    assert [image.vllm for image in remove_old(client, load(), dry_run=True)] == ["0.31.0"]
    assert client.removed == []
    remove_old(client, load())
    assert client.removed == ["localhost/slipway/vllm-cpu:0.31.0-bbbbbbbbbbbb"]


def test_an_image_that_the_engine_keeps_is_a_failure() -> None:
    with pytest.raises(Failed, match="image is being used"):
        remove_old(engine(fails=True), load())


@pytest.mark.parametrize(
    ("hours", "age"), [(0, "0 hours"), (1, "1 hour"), (47, "47 hours"), (49, "2 days"), (-1, "0 hours")]
)
def test_age_is_in_hours_and_then_in_days(hours: int, age: str) -> None:
    made = datetime(2026, 11, 1, tzinfo=UTC)
    image = BuiltImage("t", "i", "", 1, made.isoformat(), "old")
    assert image.age(made + timedelta(hours=hours)) == age
