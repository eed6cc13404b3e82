"""Real vLLM that exits while it starts: the message, and that the next run works."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SERVER
from tests.e2e.conftest import WANTED, engine_core, free_port
from tests.invocation import invoke, start

if TYPE_CHECKING:
    from docker import DockerClient


@pytest.fixture
def tidy(engine: DockerClient) -> Iterator[None]:
    """Remove the container that a failed start left."""
    yield
    for container in engine.containers.list(all=True, filters={"name": f"^/{SERVER}$"}):
        container.remove(force=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can kill a process of a container from the host")
def test_run_names_a_killed_engine_core_as_the_cause(
    cpu_image: str, settings: dict[str, str], engine: DockerClient, tidy: None
) -> None:
    process = start("run", *WANTED, "--port", free_port(), "--format", "json", **settings)
    assert process.stdout
    phase = ""
    while phase != "engine":
        phase = json.loads(process.stdout.readline())["phase"]
    os.kill(engine_core(engine.containers.get(SERVER)), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"{SERVER} exited with 1 in the phase" in err
    cause = next(line for line in err.splitlines() if line.startswith("error:"))
    assert "killed" in cause
    assert "Engine core initialization failed" not in cause


@pytest.mark.slow  # tests/engine checks the same with a stand-in in two seconds
def test_run_names_a_memory_limit_that_is_too_small(
    cpu_image: str, settings: dict[str, str], tidy: None
) -> None:
    finished = invoke("run", *WANTED, "--port", free_port(), "--memory", "700m", **settings)
    assert finished.code == 1
    assert "memory" in finished.err
    assert "--memory" in finished.err
    assert "Traceback" not in finished.err


def test_run_refuses_an_unknown_vllm_flag_before_anything_starts(
    cpu_image: str, settings: dict[str, str], engine: DockerClient
) -> None:
    finished = invoke("run", *WANTED, "--port", free_port(), "--set", "--no-such-flag=1", **settings)
    assert finished.code == 2
    assert "--no-such-flag" in finished.err
    assert engine.containers.list(all=True, filters={"name": f"^/{SERVER}$"}) == []
