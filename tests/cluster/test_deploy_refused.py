"""What cannot run is refused with one clear message, and nothing is changed on the cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launch.deploy import apply
from launch.deploy.client import Cluster
from launch.deploy.preflight import ENFORCE
from launch.render import kubernetes
from tests.cluster import paper
from tests.cluster.control_plane import ControlPlane, free_port
from tests.cluster.test_deploy import deploy, kinds
from tests.invocation import Finished, invoke
from tests.unit.launch.plan_builders import M2, plan


@pytest.fixture
def ready(cluster: Cluster) -> Cluster:
    """A cluster that could run MiniMax-M2."""
    paper.add_node(cluster, "node-1", gpus="8")
    paper.add_weights(cluster)
    return cluster


def create(cluster: Cluster, kind: str, name: str, spec: dict[str, Any], version: str = "v1") -> None:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    cluster.request("POST", cluster.path(kind), body=body)


def make_member(cluster: Cluster) -> None:
    """Let the user `guest` work in the namespace of the test, and nowhere else."""
    groups = ["", "apps", "batch", "networking.k8s.io"]
    rules = [{"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}]
    rbac = f"apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}"
    cluster.request("POST", f"{rbac}/roles", body={"metadata": {"name": "member"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "member"}
    users = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "guest"}]
    body = {"metadata": {"name": "member"}, "roleRef": role, "subjects": users}
    cluster.request("POST", f"{rbac}/rolebindings", body=body)


def refusal(cluster: Cluster, done: Finished, code: int = 2) -> str:
    """Return the message after checking that nothing was made."""
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.startswith("error: ")
    assert kinds(cluster) == set()
    return done.err


def test_no_cluster(ready: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    done = deploy(ready)
    assert (done.code, done.err.splitlines()[0]) == (2, "error: no cluster is configured")


def test_no_such_context(ready: Cluster) -> None:
    assert "error: no context 'production'" in refusal(ready, deploy(ready, "--context", "production"))


def test_no_server_at_the_address(
    ready: Cluster, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig(url=url)))
    text = refusal(ready, deploy(ready), code=1)
    assert f"cannot reach the cluster at {url}" in text
    assert "Connection refused" in text


def test_an_expired_token(ready: Cluster, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig("expired")))
    assert "does not accept the login" in refusal(ready, deploy(ready), code=1)


def test_a_user_without_rights(ready: Cluster, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig("guest-token")))
    text = refusal(ready, deploy(ready))
    assert f"this user may not create, patch, delete deployments in namespace '{ready.namespace}'" in text


def test_a_user_of_one_namespace_is_told_what_was_not_checked(
    ready: Cluster, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a user may work in the namespace, and may not read nodes, quotas of others or the namespace itself."""
    make_member(ready)
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig("guest-token")))
    done = deploy(ready, "--wait", "no").ok()
    assert "note: not checked: GPUs (" in done.err
    assert "Deployment minimax-m2 created" in done.out


def test_a_missing_namespace(ready: Cluster) -> None:
    text = refusal(ready, deploy(replace(ready, namespace="models")))
    assert "namespace 'models' does not exist" in text
    assert "next: kubectl create namespace models" in text


def test_no_leader_worker_set(ready: Cluster) -> None:
    paper.add_node(ready, "node-2", gpus="8")
    assert "the cluster has no LeaderWorkerSet" in refusal(ready, deploy(ready, "--nodes", "2", gpus=8))


def test_no_gpus(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1")
    paper.add_weights(cluster)
    assert "no node of the cluster offers nvidia.com/gpu" in refusal(cluster, deploy(cluster))


def test_gpus_of_another_kind(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="8", product="NVIDIA-A100-SXM4-80GB")
    paper.add_weights(cluster)
    text = refusal(cluster, deploy(cluster))
    assert "the cluster has no h200 GPUs" in text
    assert "NVIDIA-A100-SXM4-80GB" in text


def test_too_few_gpus(ready: Cluster) -> None:
    text = refusal(ready, deploy(ready, "--replicas", "3"))
    assert "3 pods with 4 each, and the nodes have space for 2" in text


def test_a_small_quota(ready: Cluster) -> None:
    create(ready, "ResourceQuota", "team", {"hard": {"requests.memory": "20Gi", "limits.cpu": "500"}})
    text = refusal(ready, deploy(ready))
    assert "quota 'team' leaves too little requests.memory" in text
    assert "53 GiB needed, 20 GiB free" in text


def test_a_small_limit_range(ready: Cluster) -> None:
    limits = [{"type": "Container", "max": {"memory": "16Gi"}}]
    create(ready, "LimitRange", "small", {"limits": limits})
    assert "LimitRange 'small' allows too little memory for a container" in refusal(ready, deploy(ready))


def test_pod_security(ready: Cluster) -> None:
    """The server accepts the Deployment, and refuses its pods in an event that no client shows."""
    label = {"metadata": {"labels": {ENFORCE: "restricted"}}}
    ready.request("PATCH", f"api/v1/namespaces/{ready.namespace}", body=label, kind=paper.MERGE)
    text = refusal(ready, deploy(ready, "--weights-path", "/mnt/hub"))
    assert "enforces Pod Security 'restricted', which refuses the pods" in text
    assert "hostPath /mnt/hub" in text
    deploy(ready, "--dry-run").ok()


def test_no_claim(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="8")
    text = refusal(cluster, deploy(cluster, "--weights-claim", "models"))
    assert "no PersistentVolumeClaim 'models'" in text


def test_a_claim_of_one_node_for_several_pods(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="8")
    paper.add_weights(cluster, mode="ReadWriteOnce")
    text = refusal(cluster, deploy(cluster, "--replicas", "2"))
    assert "claim 'slipway-weights' can be mounted on one node only, and the plan has 2 pods" in text
    deploy(cluster, "--dry-run").ok()


def test_no_secret_for_the_api_key(ready: Cluster) -> None:
    assert "no Secret 'slipway-api-key'" in refusal(ready, deploy(ready, "--listen", "0.0.0.0"))


def test_an_image_that_is_not_in_a_registry(ready: Cluster) -> None:
    done = invoke("deploy", "slipway/MiniMax-M2-tiny", "--platform", "cpu", "--namespace", ready.namespace)
    text = refusal(ready, done)
    assert "no node can pull the image" in text
    assert "invoke publish" in text


def test_a_long_name(ready: Cluster) -> None:
    assert "is not a name for a server" in refusal(ready, deploy(ready, "--name", "x" * 64))


def test_another_platform_under_the_same_name(ready: Cluster) -> None:
    deploy(ready, "--wait", "no").ok()
    paper.add_node(ready, "node-2", amd="8")
    done = deploy(ready, hardware="mi300x", gpus=8)
    assert done.code == 2
    assert "Deployment 'minimax-m2' runs on cuda, not rocm" in done.err
    deploy(ready, "--wait", "no", "--replace", hardware="mi300x", gpus=8).ok()


def test_an_object_of_another_program(ready: Cluster) -> None:
    document = kubernetes.documents(plan(M2, "h200", 4))[0]
    document["metadata"]["labels"] = {}
    create(ready, "Deployment", "minimax-m2", document["spec"], "apps/v1")
    assert "Deployment 'minimax-m2' exists, and Slipway did not make it" in refusal(ready, deploy(ready))


def test_a_field_of_another_manager(ready: Cluster, kubelet: paper.Kubelet) -> None:
    deploy(ready, "--wait", "no").ok()
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "minimax-m2"},
        "spec": {"replicas": 2},
    }
    query = {"fieldManager": "autoscaler", "force": "true"}
    ready.request(
        "PATCH", ready.path("Deployment", "minimax-m2"), query, body, "application/apply-patch+yaml"
    )
    done = deploy(ready, "--replicas", "1")
    assert (done.code, done.out) == (1, "")
    assert "another program manages a field that the plan sets" in done.err
    assert '"autoscaler"' in done.err
    deploy(ready, "--force").ok()


def test_an_image_that_a_node_cannot_pull(ready: Cluster, kubelet: paper.Kubelet) -> None:
    message = "rpc error: manifest unknown"
    kubelet.state, kubelet.phase = (
        {"state": {"waiting": {"reason": "ErrImagePull", "message": message}}},
        "Pending",
    )
    done = deploy(ready)
    assert done.code == 1
    assert "'minimax-m2' does not start: a node cannot pull the image" in done.err
    assert message in done.err


def test_actions_exclude_each_other(ready: Cluster) -> None:
    text = refusal(ready, deploy(ready, "--status", "--delete"))
    assert "--status and --delete cannot be used together" in text


def test_nothing_is_left_after_the_refusals(cluster: Cluster) -> None:
    assert apply.objects(cluster, "minimax-m2") == []
