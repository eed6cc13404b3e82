"""The first command of the README, from the build to the stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launch.engine.containers import name_for
from tests.conftest import MODEL
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient

NAME = name_for(MODEL)  # the demo gives its server the name that it has on a user's host


def exists(engine: DockerClient) -> bool:
    """Return whether a container has the name of the demo's server."""
    return bool(engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}))


def test_demo_runs_every_step_and_leaves_no_server(cpu_image: str, engine: DockerClient) -> None:
    if exists(engine):
        pytest.skip(f"a container named {NAME} exists that is not of the tests: invoke stop {NAME}")
    finished = invoke("demo").ok()
    commands = [line.removeprefix("$ ").split()[1] for line in finished.err.splitlines() if line[:2] == "$ "]
    assert commands == ["build", "fetch", "plan", "run", "chat", "bench", "stop"]
    assert "serves at http://127.0.0.1:" in finished.out
    assert "failed requests:                       0" in finished.out
    assert not exists(engine)
