"""Real vLLM on CPU in a real pod: from the image in a registry to an answer through the Service, and nothing left."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.demo.tiny_checkpoint import write_checkpoint
from launch.deploy import pod_program
from launch.deploy.client import Cluster
from launch.deploy.server import reached
from launch.http.client import request
from launch.hub_server import serve_folder
from launch.render.pod import LEAVE
from tests.cluster import binaries, kubelet, paper
from tests.cluster.control_plane import ControlPlane
from tests.conftest import MODEL
from tests.invocation import finished, invoke, start
from tests.registry.serving import running

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
START, LOADED, STOP = 180, 60, 60  # seconds
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
    assert re.search(r"  schedule .* import .* load weights .* ready .* first generation [0-9.]+ s", made.err)
    assert "start minimax-m2-tiny: " in made.err  # plain lines without a terminal
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


def secret(cluster: Cluster, key: str) -> None:
    """Make the Secret as the command does that a refusal shows."""
    values = {"VLLM_API_KEY": key, "OPENAI_API_KEY": key}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "slipway-api-key"},
        "stringData": values,
    }
    cluster.request("POST", cluster.path("Secret"), body=body)


def stream(url: str, key: str, choices: int) -> Iterator[bytes]:
    """Yield the events of answers of 2,000 tokens each."""
    body = {"model": MODEL, "prompt": "Hello", "max_tokens": 2000, "ignore_eos": True, "n": choices}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    address = f"{url}/v1/completions"
    response = request("POST", address, headers=headers, body=data, timeout=60, direct=True)
    yield from (line for line in response.lines() if line.strip())


def clients(cluster: Cluster) -> int:
    """Return how many clients of benchmarks run in the pod."""
    pod = next(one["metadata"]["name"] for one in cluster.list("Pod"))
    script = "grep -la '[b]ench.serve' /proc/[0-9]*/cmdline 2>/dev/null; true"
    return len(pod_program.run(cluster, pod, ["sh", "-c", script])[1].splitlines())


def load_ends_with_its_command(cluster: Cluster, where: tuple[str, str], state: Path) -> None:
    running = start(*SAME, "--bench", "chat", "--scale", "0.5", *where, XDG_STATE_HOME=str(state))
    end = time.monotonic() + LOADED
    while not clients(cluster):
        assert running.poll() is None and time.monotonic() < end, "no load has begun"
        time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    done = finished(running)
    assert done.code != 0 and "Traceback" not in done.err
    end = time.monotonic() + STOP
    while clients(cluster):
        assert time.monotonic() < end, "the load goes on"
        time.sleep(0.5)


@pytest.mark.usefixtures("node")
def test_a_server_with_a_key_is_asked_measured_and_drained(
    cluster: Cluster, image: str, tmp_path: Path
) -> None:
    """The API server cannot pass a key on, so all of it goes over port-forwards."""
    where, key = ("--namespace", cluster.namespace), "sk-of-this-test"
    secret(cluster, key)
    wanted = ("--platform", "cpu", "--image", image, "--listen", "0.0.0.0", "--timeout", str(START))
    made = invoke(*SAME, *wanted, *where, "--format", "json", XDG_CONFIG_HOME=str(tmp_path))
    server = made.json[-1]
    assert "answer through a port-forward: " in made.err
    phases = ("schedule", "import", "load weights", "kv cache", "ready", "first generation")
    assert set(phases) <= server["seconds"].keys()
    assert sum(server["seconds"].values()) < START
    asked = invoke(*SAME, "--ask", "What is a slipway?", *where).ok()
    assert "ramp on the shore" in asked.out

    measured = invoke(
        *SAME,
        *("--bench", "chat", "--scale", "0.02", "--format", "json"),
        *where,
        XDG_STATE_HOME=str(tmp_path),
    )
    (run,) = measured.json["runs"]
    assert run["status"] == "complete", run["validity"]
    assert run["validity"]["outcome"] == "remarks"
    assert run["server"]["cluster"]["requests"] == "port-forward"
    assert run["server"]["cluster"]["node"] == run["host"]["name"] == "localhost"
    assert run["metrics"]["generation_tokens"] == run["load"]["requests"] * run["load"]["output_len"]
    assert key not in f"{made}{asked}{measured}"

    load_ends_with_its_command(cluster, where, tmp_path)

    with reached(cluster, "minimax-m2-tiny") as to:
        pod, deleted, lines = to.pod["metadata"]["name"], 0.0, []
        for line in stream(to.url, to.key, choices=4):
            lines.append(line)
            if len(lines) == 50:
                cluster.delete("Pod", pod)
                deleted = time.monotonic()
    lasted = time.monotonic() - deleted
    assert lines[-1].strip() == b"data: [DONE]"
    assert json.loads(lines[-2].partition(b":")[2])["usage"]["completion_tokens"] == 4 * 2000
    assert lasted > LEAVE, "the answer ended before the server was asked to end, which shows nothing"
    print(f"the stream ended whole {lasted:.1f} s after its pod was deleted")
