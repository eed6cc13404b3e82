"""An image's capabilities: compared with the lock, and found again in labels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from images.capabilities import (
    LABEL,
    OWN_LAYERS,
    READ_FROM,
    content_key,
    differences,
    from_labels,
    recorded,
)
from images.lock.lockfile import load
from launch.spec.capabilities import Capabilities

NIGHTLY = load().image("rocm", "nightly")
ROCM = Capabilities(
    python="3.12.13",
    torch="2.11.0+git96bfee1",
    torch_flavour="hip",
    hip="7.2.2",
    vllm_version="0.21.0rc1+rocm722",
    vllm_commit="d801ae8c2650b590438f3d9794dd7a47abd86c9a",
)


def test_differences_is_empty_if_the_image_agrees_with_the_lock() -> None:
    assert differences(NIGHTLY, ROCM) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vllm_version": "0.20.2"}, "vLLM is 0.20.2, the lock has 0.21.0rc1"),
        ({"vllm_version": ""}, "vLLM is missing"),
        ({"vllm_commit": "1234567"}, "vLLM's commit is 1234567, the lock has d801ae8"),
        ({"torch_flavour": "cpu"}, "torch is the cpu build, rocm needs hip"),
        ({"torch_flavour": "cuda"}, "torch is the cuda build"),
        ({"python": "3.11.2"}, "Python is 3.11.2, the lock has 3.12"),
        ({"vllm_version": "0.12.0"}, "MiniMax-M2 needs 0.13.0"),
    ],
)
def test_differences_names_each_difference(changed: dict[str, Any], message: str) -> None:
    assert message in "; ".join(differences(NIGHTLY, replace(ROCM, **changed)))


def test_differences_accepts_a_short_commit() -> None:
    assert differences(NIGHTLY, replace(ROCM, vllm_commit="d801ae8c2")) == []


def test_differences_expects_the_same_torch_for_each_channel_of_a_platform() -> None:
    found = replace(ROCM, vllm_version="0.31.0+rocm723")
    assert differences(load().image("rocm"), found) == []


def attrs(*layers: str, own: str = "1", env: tuple[str, ...] = ("A=1",)) -> dict[str, Any]:
    labels = {OWN_LAYERS: own} if own else None
    return {"Config": {"Env": list(env), "Labels": labels}, "RootFS": {"Layers": list(layers)}}


def test_content_key_ignores_the_layer_of_the_plugin() -> None:
    one, other = attrs("base", "vllm", "plugin"), attrs("base", "vllm", "another plugin")
    assert content_key(one) == content_key(other)


@pytest.mark.parametrize(
    "other",
    [
        attrs("base", "another vllm", "plugin"),
        attrs("base", "vllm", "plugin", own=""),
        attrs("base", "vllm", "plugin", env=("A=2",)),
    ],
)
def test_content_key_changes_with_layers_and_environment(other: dict[str, Any]) -> None:
    assert content_key(other) != content_key(attrs("base", "vllm", "plugin"))


class Engine:
    """An engine that lists images by label."""

    def __init__(self, *labels: dict[str, str]) -> None:
        self.images = self
        self._found = [SimpleNamespace(labels=one) for one in labels]

    def list(self, filters: dict[str, str]) -> Any:
        name, _, value = filters["label"].partition("=")
        return [image for image in self._found if image.labels.get(name) == value]


def test_recorded_returns_the_capabilities_of_an_image_with_the_same_content() -> None:
    engine: Any = Engine({READ_FROM: "k1", LABEL: ROCM.as_json()}, {READ_FROM: "k2"})
    assert recorded(engine, "k1") == ROCM
    assert recorded(engine, "k2") is None
    assert recorded(engine, "k3") is None


@pytest.mark.parametrize("labels", [{}, {LABEL: ""}, {LABEL: "{"}, {LABEL: "[]"}])
def test_from_labels_returns_none_for_a_missing_or_broken_label(labels: dict[str, str]) -> None:
    assert from_labels(labels) is None
