"""Real vLLM on CPU in a real pod: from the image in a registry to an answer through the Service, and nothing left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.demo.tiny_checkpoint import write_checkpoint
from launch.deploy.client import Cluster
from launch.hub_server import serve_folder
from tests.cluster import binaries, kubelet, paper
from tests.cluster.control_plane import ControlPlane
from tests.conftest import MODEL
from tests.invocation import invoke
from tests.registry.serving import running

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
START, STOP = 180, 60  # seconds
SAME = ("deploy", MODEL)


@pytest.fixture
def image(engine: DockerClient, cpu_image: str, registry_program: str, tmp_path: Path) -> Iterator[str]:
    """The CPU image by its digest in a registry on loopback."""
    (tmp_path / "registry").mkdir()
    with running(registry_program, tmp_path / "registry") as registry:
        name = f"{registry.host}/vllm-cpu"
        engine.images.get(cpu_image).tag(name, "1")
        try:
            engine.images.push(name, "1")
            digests = engine.images.get(cpu_image).attrs["RepoDigests"]
            yield next(digest for digest in digests if digest.startswith(name))
        finally:
            engine.images.remove(f"{name}:1", noprune=True)


@pytest.fixture
def node(
    plane: ControlPlane, engine: DockerClient, cpu_image: str, cluster: Cluster, hub_cache: Path
) -> Iterator[None]:
    """A real node whose weights are those of this host."""
    programs = binaries.built()
    assert programs is not None
    hub_cache.chmod(0o755)  # the pod has another user than this test
    with ExitStack() as stack:
        stack.enter_context(kubelet.node(plane, programs, engine, cpu_image))
        stack.callback(paper.clear, cluster)
        paper.add_weights(cluster, folder=hub_cache)
        yield


@pytest.fixture
def hub(engine: DockerClient, tmp_path: Path) -> Iterator[str]:
    """A Hub with the tiny model, at the address of this host on the engine's network, where pods reach it."""
    write_checkpoint(tmp_path / "served" / MODEL)
    (network,) = engine.networks.get("bridge").attrs["IPAM"]["Config"]
    with serve_folder(tmp_path / "served", host=network["Gateway"]) as running:
        yield running.url


@pytest.fixture
def empty_node(
    plane: ControlPlane, engine: DockerClient, cpu_image: str, cluster: Cluster, tmp_path: Path
) -> Iterator[Path]:
    """A real node and a volume without weights; its folder."""
    programs = binaries.built()
    assert programs is not None
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    for parent in list(folder.parents)[:4]:
        parent.chmod(0o755)
    with ExitStack() as stack:
        stack.enter_context(kubelet.node(plane, programs, engine, cpu_image))
        stack.callback(paper.clear, cluster)
        paper.add_weights(cluster, "models", folder=folder)
        yield folder


def test_the_job_fetches_into_an_empty_volume(
    cluster: Cluster, image: str, hub: str, empty_node: Path
) -> None:
    """With real pods: the Job runs Slipway's fetch in the image of vLLM, then the server loads what it fetched."""
    where = ("--namespace", cluster.namespace, "--weights-claim", "models")
    words = ("--platform", "cpu", "--image", image, "--prefetch", "--hub", hub, "--timeout", str(START))
    made = invoke(*SAME, *words, *where).ok()
    assert "into the cluster: done" in made.err
    assert "answer through its Service: " in made.err
    assert list(empty_node.glob("models--slipway--MiniMax-M2-tiny/snapshots/*/config.json"))
    (pod,) = (one for one in cluster.list("Pod") if "job-name" in one["metadata"]["labels"])
    text = pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    assert json.loads(text)["files"] == 10
    invoke(*SAME, "--delete", *where[:2]).ok()


@pytest.mark.usefixtures("node")
def test_deploy_ends_with_an_answer_from_the_pod(cluster: Cluster, image: str) -> None:
    where = ("--namespace", cluster.namespace)
    made = invoke(*SAME, "--platform", "cpu", "--image", image, *where, "--timeout", str(START)).ok()
    assert made.out.splitlines() == [
        "NetworkPolicy minimax-m2-tiny created",
        "Service minimax-m2-tiny-api created",
        "Deployment minimax-m2-tiny created",
    ]
    assert "answer through its Service: " in made.err
    assert "1 of 1 replicas ready" in invoke(*SAME, "--status", *where).ok().out
    answer = invoke(*SAME, "--ask", "What is a slipway?", *where).ok().out
    assert "ramp on the shore" in answer
    assert "POST /v1/chat/completions" in invoke(*SAME, "--logs", *where).ok().out
    (pod,) = cluster.list("Pod")
    assert pod["status"]["qosClass"] == "Burstable"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    invoke(*SAME, "--delete", *where).ok()
    end = time.monotonic() + STOP
    while cluster.list("Pod") and time.monotonic() < end:
        time.sleep(0.5)
    assert cluster.list("Pod") == []
