"""Two containers on a network of their own serve one model, as two hosts would: data and expert parallel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.acceptance.prompts import prompts
from launch.serving.metrics import read_page
from launch.serving.monitoring.page import parse
from launch.serving.openai_client import is_healthy
from launch.spec.metric_names import TOKENS
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
NOTICED_WITHIN = 120.0
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Group:
    """Two nodes: the lines of the plan for each, and the ports of head and worker on this host."""

    engine: DockerClient
    head: str
    worker: str
    port: str
    worker_port: str

    def start(self) -> None:
        """Start both nodes and wait until the head answers."""
        start(self.head, "head", f"--ip={HEAD} --publish=127.0.0.1:{self.port}:8000")
        start(self.worker, "worker", f"--publish=127.0.0.1:{self.worker_port}:8000")
        wait(f"http://127.0.0.1:{self.port}", [self.container(role) for role in ROLES])

    def container(self, role: str) -> Container:
        return self.engine.containers.get(name(role))

    def remove(self) -> None:
        for container in self.engine.containers.list(all=True, filters={"network": NETWORK}):
            container.remove(force=True)


@pytest.fixture(scope="module")
def group(
    engine: DockerClient, cpu_image: str, hub_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Group]:
    """Two nodes that were started with the lines of one plan."""
    with two_nodes(engine, hub_cache, tmp_path_factory.mktemp("nodes")) as found:
        yield found


@contextmanager
def two_nodes(engine: DockerClient, weights: Path, cache: Path, *options: str) -> Iterator[Group]:
    """Start two nodes on a network of their own with the lines of one plan, and remove them afterwards."""
    from docker.types import IPAMConfig, IPAMPool

    words = ("--platform", "cpu", "--model", MODEL, "--nodes", "2", "--strategy", "multi_node_dep", *options)
    folders = {"HF_HUB_CACHE": str(weights), "XDG_CACHE_HOME": str(cache)}
    text = invoke("plan", *words, "--format", "docker", **folders).ok().out
    network = engine.networks.create(NETWORK, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=SUBNET)]))
    head, worker = text[text.index("# node 0") :].split("# node 1")
    found = Group(engine, head, f"#{worker}", free_port(), free_port())
    try:
        found.start()
        yield found
    finally:
        found.remove()
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


def answers(port: str) -> None:
    """Ask twice: the requests go to both nodes in turn."""
    for _ in range(2):
        answer = ask(port, "What is a slipway?")["message"]["content"]
        assert answer.endswith("A slipway is a ramp on the shore from which a ship is launched.")


def test_two_nodes_answer_like_one(group: Group) -> None:
    answers(group.port)
    called = ask(group.port, "What is the weather in Tokyo?", tools=prompts().offered)["message"][
        "tool_calls"
    ]
    assert called[0]["function"] == {"name": "get_weather", "arguments": '{"city": "Tokyo"}'}


def test_a_benchmark_loads_the_engines_of_both_nodes(group: Group) -> None:
    head = group.container("head")
    words = "--dataset-name random --random-input-len 64 --random-output-len 32 --num-prompts 16 --max-concurrency 4"
    model = ["--model", MODEL, "--tokenizer", head.attrs["Args"][head.attrs["Args"].index("serve") + 1]]
    bench = ["docker", "exec", name("head"), "vllm", "bench", "serve", *model, *words.split()]
    done = subprocess.run(bench, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Successful requests: +16 *\n", done.stdout)
    tokens = {engine: sample.values[TOKENS] for engine, sample in parse(metrics(group.port)).items()}
    assert len(tokens) == 2
    assert min(tokens.values()) > 0


def metrics(port: str) -> str:
    page = read_page(f"http://127.0.0.1:{port}", 10)
    assert page is not None
    return page


def test_a_killed_follower_is_explained_and_the_group_starts_again(group: Group, tmp_path: Path) -> None:
    head = group.container("head")
    group.container("worker").kill()
    until = time.monotonic() + NOTICED_WITHIN
    while head.status == "running" and time.monotonic() < until:
        with suppress(Exception):  # a request makes the head step, and ends with it
            ask(group.port, "What is a slipway?")
        time.sleep(1)
        head.reload()
    log = tmp_path / "head.log"
    log.write_bytes(head.logs())
    assert head.status == "exited", log.read_text()[-3000:]
    found = invoke("diagnose", str(log), "--format", "json")
    assert found.code == 3, found.out
    assert json.loads(found.out)["cause_id"] == "rank-of-other-node-ended", found.out
    group.remove()
    group.start()
    answers(group.port)
