"""Why pods do not run, found on a real server for objects that were applied without any check."""

from __future__ import annotations

import time
from typing import Any

import pytest

from launch.deploy.client import Cluster
from launch.deploy.status import Cause, status
from launch.render import kubernetes
from tests.cluster import leader_worker_set, paper
from tests.unit.launch.plan_builders import M2, plan

OOM = {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
CRASH = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}}


def cause_of(cluster: Cluster, seconds: int = 15) -> Cause:
    """Return the first cause that the server reports."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = status(cluster, "minimax-m2")
        assert found is not None
        if found.causes:
            return found.causes[0]
        time.sleep(0.2)
    raise AssertionError([event["message"] for event in cluster.list("Event")])


def apply(cluster: Cluster, nodes: int = 1, gpus: int = 8) -> None:
    for document in kubernetes.documents(plan(M2, "h200", gpus, nodes)):
        cluster.apply(document)


def test_a_quota(cluster: Cluster) -> None:
    spec = {"hard": {"requests.memory": "20Gi"}}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": spec}
    cluster.request("POST", cluster.path("ResourceQuota"), body=body)
    end = time.monotonic() + 15
    while not (cluster.list("ResourceQuota")[0].get("status") or {}).get("hard"):
        assert time.monotonic() < end, "no controller has read the quota"
        time.sleep(0.1)
    apply(cluster)
    found = cause_of(cluster)
    assert (found.cause, found.final) == ("the quota of the namespace is used up", True)
    assert "exceeded quota: team" in found.evidence


def test_a_limit_range(cluster: Cluster) -> None:
    spec = {"limits": [{"type": "Container", "max": {"memory": "16Gi"}}]}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": spec}
    cluster.request("POST", cluster.path("LimitRange"), body=body)
    apply(cluster)
    assert cause_of(cluster).cause == "a LimitRange of the namespace refuses the pod"


def test_a_missing_claim(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="8")
    apply(cluster)
    assert cause_of(cluster).cause == "the claim of the weights does not exist"


def test_too_few_gpus(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="4")
    paper.add_weights(cluster)
    apply(cluster)
    found = cause_of(cluster)
    assert (found.cause, found.final) == ("too few free GPUs", False)


def test_a_taint(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="8")
    taints = {"spec": {"taints": [{"key": "team", "value": "other", "effect": "NoSchedule"}]}}
    cluster.request("PATCH", f"{paper.NODES}/node-1", body=taints, kind=paper.MERGE)
    paper.add_weights(cluster)
    apply(cluster)
    assert cause_of(cluster).cause == "the nodes have a taint that the pods do not tolerate"


@pytest.mark.parametrize(
    ("state", "cause"),
    [(OOM, "the server used more memory than its limit"), (CRASH, "the server exits again and again")],
)
def test_a_container_that_ends(
    cluster: Cluster, kubelet: paper.Kubelet, state: dict[str, Any], cause: str
) -> None:
    kubelet.state = state
    paper.add_node(cluster, "node-1", gpus="8")
    paper.add_weights(cluster)
    apply(cluster)
    assert cause_of(cluster).cause == cause


@pytest.mark.usefixtures("leader_worker_set")
def test_half_a_group(cluster: Cluster, kubelet: paper.Kubelet) -> None:
    """The leader has the only node, and its worker waits for ever."""
    paper.add_node(cluster, "node-1", gpus="8")
    paper.add_weights(cluster)
    apply(cluster, nodes=2)
    leader_worker_set.reconcile(cluster, "minimax-m2")
    found = cause_of(cluster)
    assert found.cause in (
        "too few free GPUs",
        "a group needs more nodes, because each of its pods needs one for itself",
    )
    shown = status(cluster, "minimax-m2")
    assert shown is not None
    assert [node for _, node, _ in shown.pods] == ["node-1", ""]
