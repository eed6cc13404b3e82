"""Real vLLM that dies while it starts: what the user reads, and that the next run is not in its way."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke, start

NAME = "slipway-minimax-m2-tiny"


@pytest.fixture
def tidy(engine):
    yield
    for container in engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}):
        container.remove(force=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may end a process of a container from outside")
def test_an_engine_core_that_is_killed_while_it_loads_is_noticed_and_named(cpu_image, settings, engine, tidy):
    process = start("run", *WANTED, "--port", free_port(), "--format", "json", **settings)
    phase = ""
    while phase != "engine":
        phase = json.loads(process.stdout.readline())["phase"]
    table = engine.containers.get(NAME).top()
    command, pid = table["Titles"].index("CMD"), table["Titles"].index("PID")
    (core,) = [row[pid] for row in table["Processes"] if "EngineCore" in row[command]]
    os.kill(int(core), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"{NAME} exited with 1 in the phase" in said
    cause = next(line for line in said.splitlines() if line.startswith("error:"))
    assert "killed" in cause
    assert "Engine core initialization failed" not in cause


@pytest.mark.slow  # the stand-in says the same in two seconds
def test_a_memory_limit_that_vllm_cannot_live_in_is_named_as_that(cpu_image, settings, tidy):
    said = invoke("run", *WANTED, "--port", free_port(), "--memory", "700m", **settings)
    assert said.code == 1
    assert "memory" in said.err
    assert "--memory" in said.err
    assert "Traceback" not in said.err


def test_a_flag_that_this_vllm_does_not_know_is_refused_before_anything_starts(cpu_image, settings, engine):
    said = invoke("run", *WANTED, "--set", "--no-such-flag=1", **settings)
    assert said.code == 2
    assert "--no-such-flag" in said.err
    assert engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}) == []
