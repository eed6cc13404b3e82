"""The first command of the README, from the build to the stop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.spec.server_name import name_for
from tests.conftest import MODEL
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient

NAME = name_for(MODEL)  # the demo gives its server the name that it has on a user's host


def exists(engine: DockerClient) -> bool:
    """Return whether a container has the name of the demo's server."""
    return bool(engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}))


@pytest.fixture
def settings(engine: DockerClient, cpu_image: str, tmp_path: Path) -> dict[str, str]:
    """A cache and a state folder of the test; skipped if a user's demo runs."""
    if exists(engine):
        pytest.skip(f"a container named {NAME} exists that is not of the tests: invoke stop {NAME}")
    return {"HF_HUB_CACHE": str(tmp_path), "SLIPWAY_STATE_DIR": str(tmp_path / "state")}


def test_demo_runs_every_step_and_leaves_no_server(settings: dict[str, str], engine: DockerClient) -> None:
    finished = invoke("demo", **settings).ok()
    commands = [line.removeprefix("$ ").split()[1] for line in finished.err.splitlines() if line[:2] == "$ "]
    assert commands == ["build", "fetch", "plan", "run", "chat", "chat", "bench", "stop"]
    assert "A slipway is a ramp on the shore from which a ship is launched." in finished.out
    assert 'get_weather({"city": "Tokyo"})' in finished.out
    assert "serves at http://127.0.0.1:" in finished.out
    assert re.search(r"^failed requests: +0$", finished.out, re.MULTILINE)
    assert re.search(r"^output token throughput: +[\d.]+ tok/s$", finished.out, re.MULTILINE)
    assert re.search(r"^validity: +(good|remarks)$", finished.out, re.MULTILINE)
    assert not exists(engine)
    assert MODEL in invoke("models", **settings).ok().out


@pytest.mark.slow
def test_demo_uses_its_running_server_again_and_replaces_one_with_another_plan(
    settings: dict[str, str], tmp_path: Path
) -> None:
    try:
        invoke("demo", "--keep", **settings).ok()
        assert f"{NAME}: already running" in invoke("demo", "--keep", **settings).ok().err
        other = settings | {"HF_HUB_CACHE": str(tmp_path / "other")}
        replaced = invoke("demo", "--keep", **other).ok().err
        assert "--replace" in replaced
        assert f"{NAME}: started" in replaced
    finally:
        # Not by name: `--all` stops only servers of this test's state folder, not one that a user has.
        invoke("stop", "--all", **settings)
