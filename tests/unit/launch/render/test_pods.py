"""A pod has what a cluster asks of it: resources, a user, a grace period, names that do not collide."""

from __future__ import annotations

from typing import Any

import pytest

from launch.deploy.pod_security import violations
from launch.render import kubernetes
from launch.render.cluster_settings import ClusterSettings
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, TINY, plan

GIB = 2**30
SHAPES = [
    (M2, "h200", 4, 1),
    (M2, "h200", 8, 2),
    (M2, "h200", 8, 3),
    (M2, "mi300x", 8, 1),
    (TINY, "cpu", 2, 1),
]


def pods(made: Plan, settings: ClusterSettings | None = None) -> list[dict[str, Any]]:
    """Return the pod templates of a plan."""
    spec = kubernetes.documents(made, settings or ClusterSettings())[0]["spec"]
    group = spec.get("leaderWorkerTemplate")
    return (
        [group["leaderTemplate"]["spec"], group["workerTemplate"]["spec"]]
        if group
        else [spec["template"]["spec"]]
    )


@pytest.mark.parametrize(("model", "hardware", "gpus", "nodes"), SHAPES)
def test_least_access_passes_pod_security_restricted(
    model: str, hardware: str, gpus: int, nodes: int
) -> None:
    for pod in pods(plan(model, hardware, gpus, nodes, facts={"uid": 0, "gid": 0})):
        assert violations(pod, "restricted") == ()


def test_rdma_is_refused_for_pinned_memory_and_the_adapters() -> None:
    leader, _ = pods(plan(M2, "h200", 8, 2, access="rdma"))
    assert violations(leader, "restricted") == (
        "hostPath /dev/infiniband",
        "capability IPC_LOCK",
        "volume type hostPath",
    )


def test_profiling_is_root_without_a_restriction() -> None:
    (pod,) = pods(plan(M2, "h200", 4, access="profiling"))
    assert violations(pod, "privileged") == ()
    assert {"runAsUser: 0", "capability SYS_ADMIN"} <= set(violations(pod, "restricted"))


@pytest.mark.parametrize(("model", "hardware", "gpus", "nodes"), SHAPES)
def test_every_resource_has_a_request_and_a_limit(model: str, hardware: str, gpus: int, nodes: int) -> None:
    """A pod without requests is removed first; a missing limit is set by the LimitRange of the namespace."""
    made = plan(model, hardware, gpus, nodes)
    for pod in pods(made):
        found = pod["containers"][0]["resources"]
        assert found["requests"].keys() == found["limits"].keys() >= {"cpu", "memory", "ephemeral-storage"}
        assert all(isinstance(value, str) for amounts in found.values() for value in amounts.values())
        memory = int(found["limits"]["memory"].removesuffix("Gi")) * GIB
        assert memory > made.container.shm_bytes + sum(tmpfs.size_bytes for tmpfs in made.container.tmpfs)
        cache = next(v["emptyDir"] for v in pod["volumes"] if v["name"] == "mount-1")["sizeLimit"]
        assert int(cache[:-2]) < int(found["limits"]["ephemeral-storage"][:-2])


def test_the_user_may_set_cpu_and_memory() -> None:
    (pod,) = pods(plan(M2, "h200", 4), ClusterSettings(cpu="32", memory="200Gi"))
    found = pod["containers"][0]["resources"]
    assert (found["requests"]["cpu"], found["limits"]["cpu"], found["limits"]["memory"]) == (
        "32",
        "32",
        "200Gi",
    )


@pytest.mark.parametrize(("hardware", "key"), [("h200", "nvidia.com/gpu"), ("mi300x", "amd.com/gpu")])
def test_pods_tolerate_the_taint_of_gpu_nodes(hardware: str, key: str) -> None:
    (pod,) = pods(plan(M2, hardware, 8))
    assert pod["tolerations"] == [{"key": key, "operator": "Exists", "effect": "NoSchedule"}]
    assert "tolerations" not in pods(plan(TINY, "cpu"))[0]


def test_the_set_has_its_name_for_itself() -> None:
    """The LeaderWorkerSet controller makes a headless Service named like the set; a Service of that name breaks it."""
    workload, service = kubernetes.documents(plan(M2, "h200", 8, 2))
    assert (workload["metadata"]["name"], service["metadata"]["name"]) == ("minimax-m2", "minimax-m2-api")
    assert [port["protocol"] for port in service["spec"]["ports"]] == ["TCP"]


def test_no_path_and_no_user_of_the_planning_host_is_in_a_pod() -> None:
    facts = {"uid": 1234, "gid": 1234, "hub_cache": "/home/me/hub", "cache": "/home/me/slipway"}
    text = kubernetes.render(plan(M2, "h200", 4, facts=facts))
    assert "/home/me" not in text
    assert "1234" not in text
    assert "hostPath" not in text


def test_a_folder_of_the_nodes_must_be_asked_for() -> None:
    (pod,) = pods(plan(M2, "h200", 4), ClusterSettings(weights_path="/mnt/hub"))
    assert pod["volumes"][0]["hostPath"] == {"path": "/mnt/hub", "type": "Directory"}
    assert "hostPath /mnt/hub" in violations(pod, "baseline")


def test_a_cluster_may_choose_the_user() -> None:
    """OpenShift gives each namespace a range of users and refuses others."""
    (pod,) = pods(plan(M2, "h200", 4), ClusterSettings(run_as=None))
    assert "runAsUser" not in pod["securityContext"]
    assert violations(pod, "restricted") == ()
    writable = {
        mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if not mount.get("readOnly")
    }
    assert writable == {"/cache", "/dev/shm", "/tmp"}  # HOME and all caches are below /cache


@pytest.mark.parametrize(("settings", "seconds"), [((), 50), ((("--shutdown-timeout", "120"),), 140)])
def test_the_grace_period_is_longer_than_the_shutdown(
    settings: tuple[tuple[str, str], ...], seconds: int
) -> None:
    (pod,) = pods(plan(M2, "h200", 4, settings=settings))
    assert pod["terminationGracePeriodSeconds"] == seconds
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "5"]}}}


def test_pods_of_groups_are_on_different_nodes() -> None:
    for pod in pods(plan(M2, "h200", 8, 2)):
        (term,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
    assert "affinity" not in pods(plan(M2, "h200", 4))[0]
