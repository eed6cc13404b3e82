"""A base that no registry has, one that cannot be asked for, and the disk that a build needs."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed
from images.build import base_image
from images.lock.lockfile import load
from images.registry.client import Registry
from images.registry.manifest import ImageManifest

NIGHTLY = load().image("cuda", "nightly")
CUDA = load().image("cuda")
# What Docker 20.10, Docker 28 and podman 4.3 report.
GONE = (
    "manifest for {name} not found: manifest unknown: manifest unknown",
    'failed to resolve reference "{name}": {name}: not found',
    "initializing source docker://{name}: reading manifest in docker.io/vllm/vllm-openai: manifest unknown",
)
OTHER = (
    "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host",
    "pull access denied for vllm/vllm-openai, repository does not exist or may require 'docker login'",
    "error getting credentials: docker-credential-pass: executable file not found in $PATH",
)


def error_of_pull(monkeypatch: pytest.MonkeyPatch, message: str) -> Failed:
    def pull(client: Any, reference: str, show: Any) -> None:
        raise Failed(f"cannot pull {reference}", why=message.format(name=reference))

    monkeypatch.setattr(base_image, "find", lambda client, reference: None)
    monkeypatch.setattr(base_image, "pull", pull)
    engine: Any = object()
    with pytest.raises(Failed) as failed:
        base_image.ensure(engine, NIGHTLY, lambda done, total, note: None)
    return failed.value


@pytest.mark.parametrize("message", GONE)
def test_ensure_names_the_mirror_and_the_other_channels_if_the_base_is_gone(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    error = error_of_pull(monkeypatch, message)
    assert f"the base of cuda-nightly no longer exists: {NIGHTLY.pins.base.reference}" in error.what
    assert error.fix == (
        "invoke pin --platform cuda --channel nightly --nightly --mirror REGISTRY pins an existing one and keeps a"
        " copy; or use --channel stable or wheel"
    )


@pytest.mark.parametrize("message", OTHER)
def test_ensure_does_not_call_a_base_gone_if_the_registry_did_not_say_so(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    error = error_of_pull(monkeypatch, message)
    assert error.what == "cannot pull the base of cuda-nightly"
    assert message in error.why


def engine_with(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, *, folder: str = "/", base: bool = False
) -> Any:
    """An engine whose disk has some GB left, and which has the base of an image or not."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free_gb * 1e9))
    monkeypatch.setattr(base_image, "find", lambda client, reference: object() if base else None)
    return SimpleNamespace(info=lambda: {"DockerRootDir": folder})


def registry_has(monkeypatch: pytest.MonkeyPatch, *layers_gb: int) -> None:
    """Let every registry answer with an image that has these layers; without any, that it has none."""
    layers = [{"digest": f"sha256:{n:064x}", "size": size * 10**9} for n, size in enumerate(layers_gb)]
    config = {"digest": f"sha256:{1:064x}", "size": 9}
    raw = json.dumps({"config": config, "layers": layers}).encode()

    def resolve(self: Any, repository: str, reference: str) -> ImageManifest:
        if not layers:
            raise Failed("no registry is reachable")
        return ImageManifest("", "", raw)

    monkeypatch.setattr(Registry, "resolve", resolve)


def test_require_disk_space_fails_before_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="not enough disk space to build cpu") as failed:
        base_image.require_disk_space(engine_with(monkeypatch, 3), load().image("cpu"))
    assert "3.0 GB free" in failed.value.why


def test_require_disk_space_skips_a_remote_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    base_image.require_disk_space(engine_with(monkeypatch, 0, folder="/elsewhere"), load().image("cpu"))


def test_an_upstream_image_needs_three_times_what_its_registry_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    registry_has(monkeypatch, 6, 4)
    base_image.require_disk_space(engine_with(monkeypatch, 31), CUDA)
    with pytest.raises(Failed) as failed:
        base_image.require_disk_space(engine_with(monkeypatch, 30), CUDA)
    assert "30.0 GB free; the build needs about 31 GB" in failed.value.why


def test_an_upstream_image_that_is_here_needs_hardly_more(monkeypatch: pytest.MonkeyPatch) -> None:
    base_image.require_disk_space(engine_with(monkeypatch, 1, base=True), CUDA)


def test_an_upstream_image_of_unknown_size_needs_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    registry_has(monkeypatch)
    with pytest.raises(Failed) as failed:
        base_image.require_disk_space(engine_with(monkeypatch, 39), CUDA)
    assert "needs about 40 GB" in failed.value.why
