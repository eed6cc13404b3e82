"""Two containers on a network of their own serve one model, as two hosts would: data and expert parallel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launch.acceptance.prompts import prompts
from launch.serving.openai_client import is_healthy
from tests.conftest import MODEL
from tests.e2e.conftest import free_port
from tests.e2e.test_layouts import ask
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient

NETWORK, SUBNET, HEAD = "slipway-test-nodes", "10.213.77.0/24", "10.213.77.2"
STARTS_WITHIN = 240.0  # seconds
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port(engine: DockerClient, cpu_image: str, hub_cache: Path) -> Iterator[str]:
    """The port of the head of two nodes that were started from one plan."""
    from docker.types import IPAMConfig, IPAMPool

    words = ("--platform", "cpu", "--model", MODEL, "--nodes", "2", "--strategy", "multi_node_dep")
    plan = invoke("plan", *words, "--format", "json", HF_HUB_CACHE=str(hub_cache)).json
    network = engine.networks.create(NETWORK, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=SUBNET)]))
    chosen, started = free_port(), []
    try:
        for process in plan["processes"]:
            started.append(start(engine, cpu_image, process, hub_cache, chosen))
        wait(f"http://127.0.0.1:{chosen}", started)
        yield chosen
    finally:
        for container in started:
            container.remove(force=True)
        network.remove()


def start(engine: Any, image: str, process: dict[str, Any], cache: Path, port: str) -> Any:
    """Start one node of a plan; the head has the address that both are given."""
    is_head = process["role"] == "head"
    values = {"$HEAD_IP": HEAD, "$IFACE_NAME": "eth0"}
    address = {"ipv4_address": HEAD} if is_head else {}
    return engine.containers.run(
        image,
        [values.get(word, word) for word in process["argv"][2:]],
        entrypoint=process["argv"][:2],
        name=f"slipway-test-node-{process['node']}",
        environment={key: values.get(value, value) for key, value in process["env"].items()}
        | {"HOME": "/tmp"},
        volumes={str(cache): {"bind": "/hub", "mode": "ro"}},
        network=NETWORK,
        networking_config={NETWORK: engine.api.create_endpoint_config(**address)},
        ports={"8000/tcp": ("127.0.0.1", int(port))} if is_head else {},
        tmpfs={"/cache": "mode=1777"},
        shm_size="1g",
        detach=True,
    )


def wait(url: str, containers: list[Any]) -> None:
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
