"""Two containers on a network of their own serve one model, as two hosts would: data and expert parallel."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.acceptance.prompts import prompts
from launch.serving.openai_client import is_healthy
from launch.spec.server_name import name_for
from tests.conftest import MODEL
from tests.e2e.conftest import free_port
from tests.e2e.test_layouts import ask
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ROLES = ("head", "worker")
NETWORK, SUBNET, HEAD = "slipway-test-nodes", "10.213.77.0/24", "10.213.77.2"
STARTS_WITHIN = 240.0  # seconds
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port(
    engine: DockerClient, cpu_image: str, hub_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The port of the head of two nodes that were started with the lines of one plan."""
    from docker.types import IPAMConfig, IPAMPool

    words = ("--platform", "cpu", "--model", MODEL, "--nodes", "2", "--strategy", "multi_node_dep")
    folders = {"HF_HUB_CACHE": str(hub_cache), "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("nodes"))}
    text = invoke("plan", *words, "--format", "docker", **folders).ok().out
    network = engine.networks.create(NETWORK, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=SUBNET)]))
    chosen = free_port()
    head, worker = text[text.index("# node 0") :].split("# node 1")
    try:
        start(head, "head", f"--ip={HEAD} --publish=127.0.0.1:{chosen}:8000")
        start("#" + worker, "worker")
        wait(f"http://127.0.0.1:{chosen}", [engine.containers.get(name(role)) for role in ROLES])
        yield chosen
    finally:
        for container in engine.containers.list(all=True, filters={"network": NETWORK}):
            container.remove(force=True)
        network.remove()


def name(role: str) -> str:
    return f"slipway-test-{role}"


def start(lines: str, role: str, options: str = "") -> None:
    """Run the lines of one node as a user does, on the test's network, under a name for each node of this one host."""
    lines = lines.replace("--network=host", f"--network={NETWORK} {options}")
    lines = lines.replace(f"--name {name_for(MODEL)}", f"--name {name(role)}")
    environment = {**os.environ, "HEAD_IP": HEAD, "IFACE_NAME": "eth0"}
    done = subprocess.run(["sh", "-euc", lines], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def wait(url: str, containers: list[Container]) -> None:
    """Wait until the server is healthy. Fails with the log of a node that has exited."""
    until = time.monotonic() + STARTS_WITHIN
    while not is_healthy(url):
        for container in containers:
            container.reload()
            assert container.status == "running", container.logs(tail=40).decode()
        assert time.monotonic() < until, containers[0].logs(tail=40).decode()
        time.sleep(0.5)


def test_two_nodes_answer_like_one(port: str) -> None:
    for _ in range(2):  # the requests go to both nodes in turn
        answer = ask(port, "What is a slipway?")["message"]["content"]
        assert answer.endswith("A slipway is a ramp on the shore from which a ship is launched.")
        called = ask(port, "What is the weather in Tokyo?", tools=prompts().offered)["message"]["tool_calls"]
        assert called[0]["function"] == {"name": "get_weather", "arguments": '{"city": "Tokyo"}'}
