"""Print the plan for a cluster: a Deployment for one node, a LeaderWorkerSet for several, and a Service.

The loopback port of a single machine becomes a Service that only the cluster can reach. It is not named like the set,
because the LeaderWorkerSet controller makes a headless Service of that name, in which workers find their leader.
"""

from __future__ import annotations

from typing import Any

from errors import Refused
from launch.access.profiles import HUB
from launch.render.cluster_settings import DEFAULT, ClusterSettings
from launch.render.comments import comments
from launch.render.health import has_api
from launch.render.pod import SERVES_ON, name_of, pod_spec
from launch.render.scheduling import queue_metadata, set_annotations
from launch.render.shell import quote
from launch.render.yaml_text import dump
from launch.spec.plan import Plan

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "slipway"


def render(plan: Plan, settings: ClusterSettings = DEFAULT, monitoring: bool = False) -> str:
    """Return YAML documents. Raises Refused for access that a pod cannot have."""
    notes = comments(plan, elsewhere=True) + _node_setting(plan) + _weights(plan, settings)
    objects = documents(plan, settings)
    if monitoring:
        from launch.render.monitoring import kubernetes

        objects += kubernetes.objects(plan, objects[-1])
    return notes + to_yaml(objects)


def to_yaml(objects: list[dict[str, Any]]) -> str:
    """Return the documents as YAML."""
    return dump(objects)


def _weights(plan: Plan, settings: ClusterSettings) -> str:
    """Return as a comment where the pods find their weights."""
    if settings.weights_path or not any(mount.target == HUB for mount in plan.container.mounts):
        return ""
    weights = f"{plan.model}{f' at {plan.commit}' if plan.commit else ''}"
    return f"# The claim {settings.weights} must hold a Hugging Face cache with {weights}.\n"


def _node_setting(plan: Plan) -> str:
    """Return as a comment the setting that a pod cannot have, but each node."""
    pids = plan.container.pids_limit
    if not pids:
        return ""
    return f"# A pod cannot limit its processes. In the kubelet configuration of each node: podPidsLimit: {pids}\n"


def documents(plan: Plan, settings: ClusterSettings = DEFAULT) -> list[dict[str, Any]]:
    """Return the values of the documents."""
    names = [group for group in plan.container.groups if not group.isdigit()]
    if names:
        why = "a pod's supplementalGroups are numbers"
        raise Refused(f"a pod cannot have the group '{names[0]}'", why=why, fix="--access least")
    several = len(plan.processes) > 1
    workload = _leader_worker_set(plan, settings) if several else _deployment(plan, settings)
    return [workload, _service(plan)]


def api_service_name(name: str) -> str:
    """Return the name of the Service that clients use."""
    return f"{name}-api"


def _labels(plan: Plan) -> dict[str, str]:
    name = name_of(plan)
    own = {"slipway/plan": plan.digest, "slipway/platform": plan.platform}
    return {"app.kubernetes.io/name": name, MANAGED_BY: MANAGER, **own}


def _deployment(plan: Plan, settings: ClusterSettings) -> dict[str, Any]:
    labels = _labels(plan)
    spec = {
        "replicas": settings.replicas,
        "strategy": {"type": "Recreate"},  # the old pod holds the GPUs until it is gone
        "selector": {"matchLabels": {"app.kubernetes.io/name": name_of(plan)}},
        "template": {
            "metadata": _meta({"labels": labels}, settings),
            "spec": pod_spec(plan, plan.processes[0], settings),
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta({"name": name_of(plan), "labels": labels}, settings),
        "spec": spec,
    }


def _meta(meta: dict[str, Any], settings: ClusterSettings) -> dict[str, Any]:
    """Return the metadata of a workload, or of pods, which have no name, with the queue of the server in it."""
    labels, notes = queue_metadata(settings, pod="name" not in meta)
    return {**meta, "labels": {**meta["labels"], **labels}, **({"annotations": notes} if notes else {})}


def _leader_worker_set(plan: Plan, settings: ClusterSettings) -> dict[str, Any]:
    """Return head and workers as one group, which starts and fails together."""
    leader, worker = ({**_labels(plan), "role": process.role} for process in plan.processes[:2])
    group = {
        "size": len(plan.processes),
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": {
            "metadata": _meta({"labels": leader}, settings),
            "spec": pod_spec(plan, plan.processes[0], settings),
        },
        "workerTemplate": {"metadata": _meta({"labels": worker}, settings), "spec": _worker(plan, settings)},
    }
    kind = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet"}
    meta = _meta({"name": name_of(plan), "labels": _labels(plan)}, settings)
    if own := {**meta.get("annotations", {}), **set_annotations(settings)}:
        meta["annotations"] = own
    return {**kind, "metadata": meta, "spec": {"replicas": settings.replicas, "leaderWorkerTemplate": group}}


def _worker(plan: Plan, settings: ClusterSettings) -> dict[str, Any]:
    """Return the one template of all workers. With several, a shell computes what depends on their number."""
    pod = pod_spec(plan, plan.processes[1], settings)
    if len(plan.processes) > 2:
        pod["containers"][0].pop("args")
        pod["containers"][0]["command"] = ["sh", "-c", f"exec {_for_any_worker(plan)}"]
    return pod


def _for_any_worker(plan: Plan) -> str:
    first, second = (plan.processes[rank].argv for rank in (1, 2))
    words = (
        _same(word) if word == other else f"$((LWS_WORKER_INDEX * {word}))"
        for word, other in zip(first, second, strict=True)
    )
    return " ".join(words).replace("$", "$$")  # Kubernetes reads $$ as one dollar


def _same(word: str) -> str:
    return "$LWS_LEADER_ADDRESS" if word == "$HEAD_IP" else quote(word)


def _service(plan: Plan) -> dict[str, Any]:
    selector = {"app.kubernetes.io/name": name_of(plan)}
    if len(plan.processes) > 1 and not has_api(plan.processes[1]):
        selector["role"] = "head"
    pairs = [(port.host, port.container) for port in plan.container.ports] or [(SERVES_ON, SERVES_ON)]
    ports = [
        {"name": "http", "port": outer, "targetPort": inner, "protocol": "TCP"} for outer, inner in pairs
    ]
    meta = {"name": api_service_name(name_of(plan)), "labels": _labels(plan)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": selector, "ports": ports},
    }
