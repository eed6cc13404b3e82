"""A real API server and scheduler accept what `invoke plan --format kubernetes` prints."""

from __future__ import annotations

import time
from typing import Any

import pytest

from launch.deploy.client import Cluster
from launch.render import kubernetes
from tests.cluster.paper import add_node, add_weights
from tests.unit.launch.plan_builders import M2, TINY, plan


def placed(cluster: Cluster, count: int = 1, seconds: int = 15) -> list[dict[str, Any]]:
    """Return the pods that have a node, once there are `count` of them."""
    end = time.monotonic() + seconds
    while True:
        pods = [pod for pod in cluster.list("Pod") if pod["spec"].get("nodeName")]
        if len(pods) >= count:
            return pods
        assert time.monotonic() < end, [event["message"] for event in cluster.list("Event")]
        time.sleep(0.2)


@pytest.mark.parametrize(("model", "hardware", "gpus", "here"), [(M2, "h200", 4, "8"), (TINY, "cpu", 1, "")])
def test_the_pod_of_a_deployment_is_placed(
    cluster: Cluster, model: str, hardware: str, gpus: int, here: str
) -> None:
    """A node with GPUs has the taint that GPU nodes usually have."""
    add_node(cluster, "node-1", gpus=here)
    add_weights(cluster)
    for document in kubernetes.documents(plan(model, hardware, gpus)):
        cluster.apply(document)
    (pod,) = placed(cluster)
    assert pod["spec"]["nodeName"] == "node-1"
    assert pod["status"]["qosClass"] == "Burstable"
    assert cluster.warnings == []


def test_a_limit_range_changes_nothing(cluster: Cluster) -> None:
    """Its defaults (1 CPU, 1 GiB) would end a server that has 8 GiB of shared memory."""
    limits = [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}}]
    body = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "usual"},
        "spec": {"limits": limits},
    }
    cluster.request("POST", cluster.path("LimitRange"), body=body)
    add_node(cluster, "node-1", gpus="8")
    add_weights(cluster)
    made = plan(M2, "h200", 4)
    for document in kubernetes.documents(made):
        cluster.apply(document)
    (pod,) = placed(cluster)
    expected = kubernetes.documents(made)[0]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert pod["spec"]["containers"][0]["resources"] == expected


@pytest.mark.usefixtures("leader_worker_set")
def test_a_set_is_accepted(cluster: Cluster) -> None:
    for document in kubernetes.documents(plan(M2, "h200", 8, 2)):
        cluster.apply(document)
    assert cluster.get("LeaderWorkerSet", "minimax-m2") is not None
    assert cluster.get("Service", "minimax-m2-api") is not None
    assert cluster.get("Service", "minimax-m2") is None  # its controller makes it
