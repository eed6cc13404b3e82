"""Real vLLM on CPU in a real pod: from the image in a registry to an answer through the Service, and nothing left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.deploy.client import Cluster
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
