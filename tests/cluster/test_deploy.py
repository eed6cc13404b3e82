"""`invoke deploy` on a real API server: apply, repeat, diff, status, another shape, delete."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from errors import Failed, Refused
from launch.deploy import apply
from launch.deploy.client import Cluster, Object
from launch.deploy.status import status
from launch.render import kubernetes
from tests.cluster import leader_worker_set, paper
from tests.invocation import Finished, invoke
from tests.unit.launch.plan_builders import M2, plan

IMAGE = f"registry.example/vllm@sha256:{'0' * 64}"


def deploy(cluster: Cluster, *words: str, gpus: int = 4, hardware: str = "h200") -> Finished:
    """Run `invoke deploy` for MiniMax-M2 in the namespace of the test."""
    wanted = ("--hardware", hardware, "--gpus", str(gpus), "--vllm", "0.32.0", "--image", IMAGE)
    wait = () if "--wait" in words else ("--wait", "ready")  # no node on paper answers a question
    return invoke("deploy", *wanted, "--namespace", cluster.namespace, *wait, *words)


def kinds(cluster: Cluster) -> set[str]:
    """Return kind and name of what Slipway made."""
    return {f"{kind} {name}" for kind, name in apply.objects(cluster, "minimax-m2")}


def gone(cluster: Cluster, kind: str, seconds: int = 10) -> bool:
    """Wait until there is no object of a kind."""
    end = time.monotonic() + seconds
    while cluster.list(kind) and time.monotonic() < end:
        time.sleep(0.2)
    return not cluster.list(kind)


def test_deploy_repeat_change_and_delete(cluster: Cluster, kubelet: paper.Kubelet) -> None:
    paper.add_node(cluster, "node-1", gpus="8", product="NVIDIA-H200")
    paper.add_weights(cluster)
    tried = deploy(cluster, "--dry-run").ok()
    assert "Deployment minimax-m2 created (dry run)" in tried.out
    assert kinds(cluster) == set()
    first = deploy(cluster).ok()
    assert first.out.splitlines() == [
        "NetworkPolicy minimax-m2 created",
        "Service minimax-m2-api created",
        "Deployment minimax-m2 created",
    ]
    assert f"serves at http://minimax-m2-api.{cluster.namespace}:8000/v1 inside the cluster" in first.err
    assert deploy(cluster, "--diff").ok().out == "no change\n"
    again = deploy(cluster, "--format", "json")
    *unchanged, server = again.json
    assert {change["action"] for change in unchanged} == {"unchanged"}
    assert (server["kind"], server["action"], server["replicas"]) == ("Server", "ready", 1)
    assert "schedule" in server["seconds"]
    assert "+            memory: 200Gi" in deploy(cluster, "--memory", "200Gi", "--diff").ok().out
    shown = invoke("deploy", "--status", "--namespace", cluster.namespace).ok().out
    assert "Deployment minimax-m2: 1 of 1 replicas ready" in shown
    assert "node-1  Running" in shown
    removed = invoke("deploy", "--delete", "--namespace", cluster.namespace).ok().out
    assert removed.splitlines() == [
        "Deployment minimax-m2 removed",
        "Service minimax-m2-api removed",
        "NetworkPolicy minimax-m2 removed",
    ]
    for kind in ("Deployment", "ReplicaSet", "Pod", "Service", "NetworkPolicy"):
        assert gone(cluster, kind), kind


def test_pods_ask_for_the_planned_gpu(cluster: Cluster, kubelet: paper.Kubelet) -> None:
    """The label is that of the nodes, so it is right also if the cluster names its GPUs in its own way."""
    paper.add_node(cluster, "node-1", gpus="8", product="NVIDIA-A100-SXM4-80GB")
    paper.add_node(cluster, "node-2", gpus="8", product="NVIDIA-H200-SHARED")
    paper.add_weights(cluster)
    deploy(cluster, "--replicas", "2").ok()
    assert [pod["spec"]["nodeName"] for pod in cluster.list("Pod")] == ["node-2", "node-2"]


@pytest.mark.usefixtures("leader_worker_set")
def test_another_shape_removes_the_former(cluster: Cluster, kubelet: paper.Kubelet) -> None:
    """Both would ask for GPUs. What the controller made for the set is left to it."""
    for number in (1, 2):
        paper.add_node(cluster, f"node-{number}", gpus="8")
    paper.add_weights(cluster)
    deploy(cluster, gpus=8).ok()
    more = deploy(cluster, "--nodes", "2", "--wait", "no", gpus=8).ok()
    assert "Deployment minimax-m2 removed" in more.out
    assert kinds(cluster) == {
        "LeaderWorkerSet minimax-m2",
        "Service minimax-m2-api",
        "NetworkPolicy minimax-m2",
        "PodDisruptionBudget minimax-m2",
    }
    leader_worker_set.reconcile(cluster, "minimax-m2")
    deploy(cluster, "--nodes", "2", "--wait", "no", gpus=8).ok()
    headless = cluster.get("Service", "minimax-m2")
    assert headless is not None
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["selector"] == {leader_worker_set.LABEL: "minimax-m2"}
    back = deploy(cluster, "--wait", "no", gpus=8).ok()
    assert "LeaderWorkerSet minimax-m2 removed" in back.out


@pytest.mark.usefixtures("leader_worker_set")
def test_workers_find_their_leader_in_the_headless_service(cluster: Cluster, kubelet: paper.Kubelet) -> None:
    for number in (1, 2):
        paper.add_node(cluster, f"node-{number}", gpus="8")
    paper.add_weights(cluster)
    deploy(cluster, "--nodes", "2", "--wait", "no", gpus=8).ok()
    leader_worker_set.reconcile(cluster, "minimax-m2")
    end = time.monotonic() + 10
    while time.monotonic() < end and not all(pod["spec"].get("nodeName") for pod in cluster.list("Pod")):
        time.sleep(0.2)
    pods = {pod["metadata"]["name"]: pod for pod in cluster.list("Pod")}
    assert {pod["spec"]["nodeName"] for pod in pods.values()} == {"node-1", "node-2"}
    worker = pods["minimax-m2-0-1"]["spec"]["containers"][0]
    address = f"minimax-m2-0.minimax-m2.{cluster.namespace}"
    assert {"name": "LWS_LEADER_ADDRESS", "value": address} in worker["env"]
    assert "$(LWS_LEADER_ADDRESS)" in worker["args"]


def test_kustomize_gets_the_same_objects(cluster: Cluster, tmp_path: Path) -> None:
    made = invoke(
        *("deploy", "--hardware", "h200", "--gpus", "4", "--vllm", "0.32.0", "--image", IMAGE),
        *("--namespace", cluster.namespace, "--weights-claim", "models", "--output", str(tmp_path)),
    ).ok()
    listed = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    assert listed["namespace"] == cluster.namespace
    assert sorted(made.out.split()) == sorted(
        str(tmp_path / name) for name in ("kustomization.yaml", *listed["resources"])
    )
    for name in listed["resources"]:
        cluster.apply(yaml.safe_load((tmp_path / name).read_text()), dry_run=True)


def test_an_apply_that_breaks_off_continues(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server checks all objects first, so what is refused leaves nothing half; a lost server is repeated."""
    documents = kubernetes.documents(plan(M2, "h200", 4))
    real = Cluster.apply

    def lost(self: Cluster, document: Object, dry_run: bool = False, force: bool = False) -> Object:
        if document["kind"] == "Deployment" and not dry_run:
            raise Failed("cannot reach the cluster")
        return real(self, document, dry_run, force)

    with monkeypatch.context() as patched:
        patched.setattr(Cluster, "apply", lost)
        with pytest.raises(Failed, match="cannot reach the cluster"):
            list(apply.apply(cluster, documents))
    actions = {change.kind: change.action for change in apply.apply(cluster, documents)}
    assert actions == {"Service": "unchanged", "Deployment": "created"}


def test_a_refused_object_leaves_nothing_behind(cluster: Cluster) -> None:
    documents = kubernetes.documents(plan(M2, "h200", 4))
    documents[0]["spec"]["replicas"] = -1
    with pytest.raises(Refused, match="refuses the object"):
        list(apply.apply(cluster, documents))
    assert cluster.list("Service") == []


def test_a_server_that_does_not_exist_has_no_status(cluster: Cluster) -> None:
    assert status(cluster, "minimax-m2") is None
