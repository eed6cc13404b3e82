"""A pod as the record of a benchmark describes it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from launch.deploy.client import Cluster
from launch.deploy.node import gpus_of, node_of
from launch.deploy.pod_instance import PodInstance, server_of, start_id
from launch.deploy.server import Reached
from launch.deploy.start import PodStart
from tests.unit.launch.deploy.fake_cluster import FakeCluster
from tests.unit.launch.deploy.pods import pod

NODE = {
    "metadata": {"labels": {"nvidia.com/gpu.product": "NVIDIA-H200"}},
    "status": {
        "nodeInfo": {"kernelVersion": "6.1", "architecture": "amd64"},
        "capacity": {"cpu": "96", "memory": "1Ti"},
    },
}


def fake(**more: Any) -> Cluster:
    return cast(Cluster, FakeCluster({"Pod": [pod()]}, nodes={"node-1": NODE}, **more))


def test_the_server_has_no_secrets_and_the_dollars_of_its_program() -> None:
    server = server_of(pod(memory="16Gi", cpu="4"), "org/model", PodStart("m2-1"))
    assert server.argv[:4] == ("vllm", "serve", "org/model", "--revision")
    assert server.argv[-2:] == ("--api-key", "***")
    assert server.env == {"A": "$B", "HF_HUB_OFFLINE": "1"}
    assert server.layout["tp"] == 4
    assert (server.container.memory_bytes, server.container.cpus) == (16 << 30, 4)
    assert server.image_digest == f"sha256:{'0' * 64}"


def test_gpus_are_those_of_the_limits() -> None:
    assert gpus_of(pod(gpus="4")["spec"]["containers"][0]) == 4
    assert gpus_of(pod()["spec"]["containers"][0]) == 0


def test_the_node_gives_the_hardware_and_was_not_observed() -> None:
    host = node_of(fake(), pod(gpus="4"))
    assert (host.name, host.hardware, host.count, host.cpu_threads) == ("node-1", "NVIDIA-H200", 4, 96)
    assert not host.observed
    assert node_of(fake(), pod(cpu="8")).hardware == "amd64"


def test_a_user_who_may_not_read_nodes_has_its_name() -> None:
    host = node_of(fake(forbidden=("Node",)), pod(cpu="8"))
    assert (host.name, host.count, host.kernel) == ("node-1", 8, "")


def changed(key: str) -> dict[str, Any]:
    now = pod()
    if key == "removed":
        now["metadata"]["deletionTimestamp"] = "2026-11-01T10:00:00Z"
    else:
        now["status"]["containerStatuses"][0]["restartCount"] = 1
    return now


@pytest.mark.parametrize("key", ["removed", "restarted"])
def test_a_pod_that_changed_meanwhile_is_gone(key: str) -> None:
    cluster = cast(Cluster, FakeCluster({"Pod": [changed(key)]}))
    instance = PodInstance(cluster, Reached(pod(), "http://127.0.0.1:1", "org/model", "", 8000), "m2")
    assert "restarted, or its pod is being removed" in instance.gone(start_id(pod()))
    assert instance.gone(instance.start_id()) == ""


def test_a_pod_that_is_not_there_any_more_is_gone() -> None:
    instance = PodInstance(
        cast(Cluster, FakeCluster({})), Reached(pod(), "http://127.0.0.1:1", "org/model", "", 8000), "m2"
    )
    assert instance.gone(start_id(pod())) == "the server's pod was removed"
