"""A base that no registry has, and one that cannot be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from errors import Failed
from images.build import base_image
from images.lock.lockfile import load

NIGHTLY = load().image("cuda", "nightly")
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
