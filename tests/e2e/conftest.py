"""One real vLLM on CPU, started by `invoke run`, for all tests that only send requests to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import MODEL, SERVER
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker.models.containers import Container

WANTED = ("--platform", "cpu", "--model", MODEL, "--name", SERVER)


def free_port() -> str:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def engine_core(container: Container) -> int:
    """Return the process of vLLM's engine core, as this host numbers it."""
    table = container.top()
    pid, command = (table["Titles"].index(title) for title in ("PID", "CMD"))
    (core,) = [row[pid] for row in table["Processes"] if "EngineCore" in row[command]]
    return int(core)


@pytest.fixture(scope="module")
def settings(hub_cache: Path) -> dict[str, str]:
    """The environment in which commands find the tiny model."""
    return {"HF_HUB_CACHE": str(hub_cache)}


@pytest.fixture(scope="module")
def server(cpu_image: str, settings: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The last event of `invoke run --format json`, and the port; the server is stopped at the end."""
    port = free_port()
    finished = invoke("run", *WANTED, "--port", port, "--replace", "--format", "json", **settings)
    serves = finished.events[-1]
    yield {**serves, "port": port}
    invoke("stop", "--name", serves["name"])
