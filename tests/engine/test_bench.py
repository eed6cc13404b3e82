"""A command in a container that ends with its client."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator

import pytest
from docker import DockerClient
from docker.models.containers import Container

from launch.engine.attached_exec import execute_attached
from launch.engine.client import connect


@pytest.fixture
def container(engine: DockerClient, stand_in: str) -> Iterator[Container]:
    one = engine.containers.run(stand_in, entrypoint=["sleep", "600"], command=[], detach=True)
    yield one
    one.remove(force=True)


LOAD = ["sh", "-c", "echo benchmarking; exec sleep 300"]


def interrupt(line: str) -> None:
    raise KeyboardInterrupt


def test_execute_attached_returns_status_and_output(engine: DockerClient, container: Container) -> None:
    shown: list[str] = []
    words = ["sh", "-c", "echo out; sleep 0.1; echo error >&2; exit 3"]
    assert execute_attached(engine, container, words, shown.append, "/tmp/pid") == (3, "out\nerror")
    assert shown == ["out", "error"]
    assert commands_in(container) == ["sleep 600"]


def test_execute_attached_ends_the_command_on_ctrl_c(engine: DockerClient, container: Container) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute_attached(engine, container, LOAD, interrupt, "/tmp/pid")
    wait_until_idle(container)


def test_the_command_ends_if_its_client_is_killed(container: Container) -> None:
    client = multiprocessing.get_context("fork").Process(target=load, args=(str(container.id),))
    client.start()
    deadline = time.monotonic() + 30
    while "sleep 300" not in commands_in(container):
        assert time.monotonic() < deadline, "the command did not start"
    client.kill()
    client.join()
    wait_until_idle(container)


def load(container: str) -> None:
    engine = connect()
    execute_attached(engine, engine.containers.get(container), LOAD, lambda line: None, "/tmp/pid")


def wait_until_idle(container: Container) -> None:
    deadline = time.monotonic() + 10  # a signal takes a moment to arrive
    while (running := commands_in(container)) != ["sleep 600"]:
        assert time.monotonic() < deadline, f"still running: {running}"


def commands_in(container: Container) -> list[str]:
    return [process[-1] for process in container.top()["Processes"]]
