"""Check whether the nodes of a cluster have the GPUs of a plan, and enough that are free."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launch.deploy.answers import Forbidden
from launch.deploy.client import Cluster, Object
from launch.deploy.quantity import pods_of
from launch.deploy.request import Problem, Request
from launch.plural import count
from launch.render.pod_resources import PodResources, resources_of
from launch.spec.gpu_catalog import catalog
from launch.spec.plan import Plan


def products(cluster: Cluster, plan: Plan) -> tuple[str, ...]:
    """Return the GPU labels of nodes that name the planned hardware; () if none does or nodes cannot be read."""
    device = resources_of(plan).device
    if not device:
        return ()
    try:
        labels = {_product(node, device) for node in cluster.request("GET", "api/v1/nodes")["items"]}
    except Forbidden:
        return ()
    return tuple(sorted(label for label in labels if label and _names(label, plan.hardware)))


def _product(node: Object, device: str) -> str:
    return str((node["metadata"].get("labels") or {}).get(f"{device}.product", ""))


def _names(label: str, hardware: str) -> bool:
    """Return whether a label names this hardware: NVIDIA-H200 and h200, NVIDIA-A100-SXM4-40GB and a100_40gb."""
    words = set(re.split(r"[^a-z0-9]+", label.lower()))
    profile = catalog().get(hardware)
    names = (hardware, *(profile.also if profile else ()))
    return any(set(re.split(r"[^a-z0-9]+", name)) <= words for name in names if name)


def check_gpus(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find a cluster without the planned GPUs, or with too few that are free."""
    need = resources_of(request.plan)
    if not need.device:
        return
    nodes = cluster.request("GET", "api/v1/nodes")["items"]
    having = [node for node in nodes if _allocatable(node, need.device)]
    if not having:
        fix = f"install the device plugin that offers {need.device}"
        yield Problem(
            f"no node of the cluster offers {need.device}", f"{count(len(nodes), 'node')} checked", fix
        )
        return
    labels = {_product(node, need.device) for node in having}
    wanted = [node for node in having if _names(_product(node, need.device), request.plan.hardware)]
    if "" not in labels and request.plan.hardware and not wanted:
        fix = f"plan for the GPUs of the cluster: --hardware NAME (it has {', '.join(sorted(labels))})"
        yield Problem(
            f"the cluster has no {request.plan.hardware} GPUs", f"{need.device}.product of its nodes", fix
        )
        return
    yield from _too_few(cluster, request, need, wanted or having)


def _allocatable(node: Object, device: str) -> int:
    return int((node.get("status", {}).get("allocatable") or {}).get(device, 0))


def _too_few(
    cluster: Cluster, request: Request, need: PodResources, nodes: list[Object]
) -> Iterator[Problem]:
    """Compare the free GPUs of each node with what a pod needs. Pods of this server do not count."""
    used: dict[str, int] = {}
    for pod in cluster.request("GET", "api/v1/pods")["items"]:
        meta, node = pod["metadata"], pod["spec"].get("nodeName", "")
        own = (meta.get("labels") or {}).get("app.kubernetes.io/name") == request.name
        ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if not (own and meta["namespace"] == cluster.namespace) and not ended:
            used[node] = used.get(node, 0) + _asked(pod, need.device)
    free = [_allocatable(node, need.device) - used.get(node["metadata"]["name"], 0) for node in nodes]
    several = request.documents[0]["kind"] == "LeaderWorkerSet"  # whose pods are on different nodes
    places = sum(min(1, gpus // need.gpus) if several else gpus // need.gpus for gpus in free)
    pods = sum(number for _, number in pods_of(request.documents))
    if places < pods:
        what = f"too few free GPUs: {count(pods, 'pod')} with {need.gpus} each, and the nodes have space for {places}"
        why = f"free {need.device} by node: {', '.join(map(str, sorted(free, reverse=True)[:8]))}"
        yield Problem(what, why, "fewer --replicas or --gpus, or wait until other pods end")


def _asked(pod: Object, device: str) -> int:
    amounts = ((c.get("resources") or {}).get("limits") or {} for c in pod["spec"]["containers"])
    return sum(int(one.get(device, 0)) for one in amounts)
