"""Interrupt a benchmark that runs in a container."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from docker import DockerClient
from docker.models.containers import Container

from launch.bench.run import run_benchmark


@pytest.fixture
def container(engine: DockerClient, stand_in: str) -> Iterator[Container]:
    one = engine.containers.run(stand_in, entrypoint=["sleep", "600"], command=[], detach=True)
    yield one
    one.remove(force=True)


def interrupt(line: str) -> None:
    raise KeyboardInterrupt


def test_run_benchmark_kills_the_command_on_ctrl_c(engine: DockerClient, container: Container) -> None:
    load = ["sh", "-c", "echo benchmarking; exec sleep 300"]
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(engine, container, load, 8000, interrupt)
    deadline = time.monotonic() + 10  # a signal takes a moment to arrive
    while (running := commands_in(container)) != ["sleep 600"]:
        assert time.monotonic() < deadline, f"still running: {running}"


def commands_in(container: Container) -> list[str]:
    return [process[-1] for process in container.top()["Processes"]]
