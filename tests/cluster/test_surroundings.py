"""Policies, budget, ServiceMonitor, queue, topology, RDMA and the image's registry, on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.deploy.client import Cluster
from tests.cluster import paper, service_monitor
from tests.cluster.test_deploy import deploy, gone, kinds
from tests.cluster.test_deploy_refused import refusal
from tests.invocation import invoke
from tests.registry.serving import running

NOTHING = f"sha256:{'0' * 64}"


@pytest.fixture
def ready(cluster: Cluster) -> Cluster:
    """A cluster of two nodes that could run MiniMax-M2."""
    for number in (1, 2):
        paper.add_node(cluster, f"node-{number}", gpus="8")
    paper.add_weights(cluster)
    return cluster


@pytest.fixture
def monitors(cluster: Cluster) -> Iterator[None]:
    service_monitor.install(cluster)
    yield
    service_monitor.remove(cluster)


def test_clients_of_other_namespaces_are_named(ready: Cluster) -> None:
    deploy(ready, "--wait", "no", "--allow-from", "ingress-nginx", "--allow-from", "10.8.0.0/16").ok()
    (policy,) = ready.list("NetworkPolicy")
    api, group = policy["spec"]["ingress"]
    assert api["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert api["from"] == [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}},
        {"ipBlock": {"cidr": "10.8.0.0/16"}},
    ]
    assert group == {"from": [{"podSelector": policy["spec"]["podSelector"]}]}
    changed = deploy(ready, "--wait", "no", "--network-policy", "no").ok()
    assert "NetworkPolicy minimax-m2 removed" in changed.out
    assert ready.list("NetworkPolicy") == []


def test_an_old_server_has_an_older_kind_of_budget(ready: Cluster) -> None:
    """This one, of Kubernetes 1.20, has policy/v1beta1 alone."""
    assert ready.group("PodDisruptionBudget") == "apis/policy/v1beta1"
    deploy(ready, "--wait", "no", "--replicas", "2").ok()
    (budget,) = ready.list("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert (
        "PodDisruptionBudget minimax-m2 unchanged"
        in deploy(ready, "--wait", "no", "--replicas", "2").ok().out
    )
    assert "PodDisruptionBudget minimax-m2 removed" in deploy(ready, "--wait", "no").ok().out


@pytest.mark.usefixtures("monitors")
def test_a_cluster_with_prometheus_operator_gets_a_service_monitor(ready: Cluster) -> None:
    done = deploy(ready, "--wait", "no").ok()
    assert "ServiceMonitor minimax-m2-api created" in done.out
    assert "note: Prometheus in another namespace reaches the pods only with --allow-from" in done.err
    (monitor,) = ready.list("ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["path"] == "/metrics"
    assert deploy(ready, "--diff").ok().out == "no change\n"
    removed = invoke("deploy", "--delete", "--namespace", ready.namespace).ok().out
    assert "ServiceMonitor minimax-m2-api removed" in removed
    assert gone(ready, "ServiceMonitor")


def test_a_cluster_without_prometheus_operator_gets_none(ready: Cluster) -> None:
    assert "ServiceMonitor" not in deploy(ready, "--wait", "no").ok().out
    assert kinds(ready) == {"Deployment minimax-m2", "Service minimax-m2-api", "NetworkPolicy minimax-m2"}


def test_a_service_monitor_that_the_cluster_does_not_know(ready: Cluster) -> None:
    text = refusal(ready, deploy(ready, "--monitoring", "yes"))
    assert "the cluster has no ServiceMonitor, which --monitoring needs" in text


@pytest.mark.usefixtures("leader_worker_set")
def test_queue_scheduler_and_topology_of_a_group(ready: Cluster) -> None:
    words = ("--scheduler", "volcano", "--queue", "team-a", "--topology", "topology.example/rack")
    deploy(ready, "--wait", "no", "--nodes", "2", *words, gpus=8).ok()
    (found,) = ready.list("LeaderWorkerSet")
    notes = found["metadata"]["annotations"]
    assert notes["leaderworkerset.sigs.k8s.io/exclusive-topology"] == "topology.example/rack"
    group = found["spec"]["leaderWorkerTemplate"]
    for template in (group["leaderTemplate"], group["workerTemplate"]):
        assert template["metadata"]["annotations"] == {"scheduling.volcano.sh/queue-name": "team-a"}
        assert template["spec"]["schedulerName"] == "volcano"


def test_topology_is_refused_for_one_node(ready: Cluster) -> None:
    text = refusal(ready, deploy(ready, "--topology", "topology.example/rack"))
    assert "--topology is for a plan of several nodes" in text


def test_rdma_needs_nodes_that_offer_it(ready: Cluster) -> None:
    text = refusal(ready, deploy(ready, "--access", "rdma", gpus=8))
    assert "no node with these GPUs offers RDMA adapters" in text


def test_rdma_is_asked_for_by_the_name_of_the_nodes(cluster: Cluster, kubelet: paper.Kubelet) -> None:
    paper.add_node(cluster, "node-1", gpus="8", rdma="rdma/hca_shared_devices_a")
    paper.add_weights(cluster)
    deploy(cluster, "--access", "rdma", gpus=8).ok()
    (pod,) = cluster.list("Pod")
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"]["rdma/hca_shared_devices_a"] == "1"
    assert container["securityContext"]["capabilities"]["add"] == ["IPC_LOCK"]
    assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]


def test_pod_security_refuses_the_capability_of_rdma(cluster: Cluster) -> None:
    paper.add_node(cluster, "node-1", gpus="8", rdma="rdma/ib")
    paper.add_weights(cluster)
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.request("PATCH", f"api/v1/namespaces/{cluster.namespace}", body=label, kind=paper.MERGE)
    text = refusal(cluster, deploy(cluster, "--access", "rdma", gpus=8))
    assert "capability IPC_LOCK" in text
    assert "--access rdma needs IPC_LOCK" in text


def test_a_registry_without_the_image(ready: Cluster, registry_program: str, tmp_path: Path) -> None:
    with running(registry_program, tmp_path) as registry:
        words = ("--hardware", "h200", "--gpus", "4", "--vllm", "0.32.0", "--namespace", ready.namespace)
        done = invoke("deploy", *words, "--image", f"{registry.host}/vllm@{NOTHING}")
    text = refusal(ready, done)
    assert f"{registry.host} has no image 'vllm' with the digest {NOTHING}" in text
    assert "invoke publish" in text


def test_a_registry_that_cannot_be_asked_leaves_a_note(ready: Cluster) -> None:
    assert "note: not checked: image in its registry" in deploy(ready, "--wait", "no").ok().err
