"""The `podman create` for a plan with CDI names, and when it is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launch.engine import podman_create
from launch.engine.limits import Limits
from launch.spec.plan import Container, Plan
from tests.unit.launch.engine.test_containers import PLAN

WITH_CDI = replace(
    PLAN, container=Container(cdi=("nvidia.com/gpu=0", "nvidia.com/gpu=1"), env_files=("/state/key",))
)


@pytest.mark.parametrize(
    ("version", "takes"),
    [("4.3.1", False), ("5.3.2", False), ("5.4.0-dev", True), ("6.0", True), ("", False)],
)
def test_socket_takes_cdi_from_5_4_on(version: str, takes: bool) -> None:
    assert podman_create.socket_takes_cdi(version) is takes


def engine(version: str, **ping: str) -> Any:
    """Return a client of an engine of some version; podman's answers have a header of its own."""
    answer = SimpleNamespace(headers=ping)
    api = SimpleNamespace(base_url="http+docker://localhost", head=lambda url: answer)
    return SimpleNamespace(api=api, version=lambda: {"Version": version})


@pytest.mark.parametrize(
    ("client", "plan", "needed"),
    [
        (engine("4.3.1", **{"Libpod-API-Version": "4.3.1"}), WITH_CDI, True),
        (engine("4.3.1", **{"Libpod-API-Version": "4.3.1"}), PLAN, False),
        (engine("5.4.0", **{"Libpod-API-Version": "5.4.0"}), WITH_CDI, False),
        (engine("28.0.0"), WITH_CDI, False),
    ],
)
def test_is_needed_for_cdi_names_on_an_old_podman(
    client: Any, plan: Plan, needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "podman").write_text("#!/bin/sh\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert podman_create.is_needed(client, plan) is needed


def test_is_not_needed_without_a_podman_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not podman_create.is_needed(engine("4.3.1", **{"Libpod-API-Version": "4.3.1"}), WITH_CDI)


def test_argv_has_devices_name_labels_and_limits_but_no_secret() -> None:
    words = podman_create.argv(
        "unix:///s", WITH_CDI, "sha256:abcd", "one", Limits(memory="64g"), {"slipway.plan": "0123"}
    )
    assert words[:4] == ["podman", "--url", "unix:///s", "create"]
    for word in (
        "--device=nvidia.com/gpu=0",
        "--device=nvidia.com/gpu=1",
        "--name=one",
        "--label=slipway.plan=0123",
        "--memory=64g",
    ):
        assert word in words
    assert words[words.index("--env-file") + 1] == "/state/key"
    assert words[words.index("abcd") :] == ["abcd", "serve", "MiniMaxAI/MiniMax-M2.1"]
    assert words[words.index("--entrypoint") + 1] == "vllm"


def test_argv_has_the_name_of_the_plan_once() -> None:
    named = replace(WITH_CDI, container=replace(WITH_CDI.container, name="own"))
    words = podman_create.argv("unix:///s", named, "abcd", "own", Limits(), {})
    assert "--name=own" not in words
    assert words[words.index("--name") + 1] == "own"
