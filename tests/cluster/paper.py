"""Nodes on paper: objects with GPUs and no machine. A stand-in for the kubelet starts and ends their pods."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from launch.deploy.client import Cluster

NODES, VOLUMES = "api/v1/nodes", "api/v1/persistentvolumes"
MERGE = "application/merge-patch+json"
BIND = 20  # seconds
STRATEGIC = "application/strategic-merge-patch+json"


def add_node(cluster: Cluster, name: str, tainted: bool = True, **allocatable: str) -> None:
    """Add a ready node. `allocatable`: `gpus` of NVIDIA, cpu, memory."""
    amounts = {"cpu": "128", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "110"}
    gpus = allocatable.pop("gpus", "")
    amounts |= {**allocatable, **({"nvidia.com/gpu": gpus} if gpus else {})}
    labels = {"kubernetes.io/hostname": name}
    taints = [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}] if tainted and gpus else []
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    cluster.request("POST", NODES, body=body)
    ready = {"type": "Ready", "status": "True", "reason": "OnPaper"}
    status = {"status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}}
    cluster.request("PATCH", f"{NODES}/{name}/status", body=status, kind=MERGE)
    # The API server taints every new node as not ready; no controller waits for a machine here.
    cluster.request("PATCH", f"{NODES}/{name}", body={"spec": {"taints": taints}}, kind=MERGE)


def add_weights(cluster: Cluster, name: str = "slipway-weights") -> None:
    """Add a volume on paper and the claim that is bound to it."""
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {"namespace": cluster.namespace, "name": name}
    volume = {
        "capacity": {"storage": "300Gi"},
        "nfs": {"server": "nfs.example", "path": "/"},
        "claimRef": claim,
    }
    meta = {"name": f"{cluster.namespace}-{name}"}
    body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": {**spec, **volume}}
    cluster.request("POST", VOLUMES, body=body)
    asked = {**spec, "resources": {"requests": {"storage": "300Gi"}}, "volumeName": meta["name"]}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": asked}
    cluster.request("POST", cluster.path("PersistentVolumeClaim"), body=body)
    end = time.monotonic() + BIND
    while (cluster.get("PersistentVolumeClaim", name) or {})["status"].get("phase") != "Bound":
        assert time.monotonic() < end, "the claim is not bound"
        time.sleep(0.1)


def remove_all(cluster: Cluster) -> None:
    """Remove all nodes and volumes."""
    cluster.request("DELETE", NODES)
    cluster.request("DELETE", VOLUMES)


def set_status(
    cluster: Cluster, pod: dict[str, Any], container: dict[str, Any], phase: str = "Running"
) -> None:
    """Set the status of a pod as a kubelet would. `container` is the state of its container."""
    ready = bool(container.get("ready"))
    conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
    states = [{"name": "vllm", "image": "i", "imageID": "i", "restartCount": 0, "ready": False, **container}]
    body = {"status": {"phase": phase, "conditions": conditions, "containerStatuses": states}}
    path = f"{cluster.path('Pod', pod['metadata']['name'])}/status"
    cluster.request("PATCH", path, body=body, kind=STRATEGIC)


@contextmanager
def kubelet(cluster: Cluster) -> Iterator[None]:
    """Make every placed pod ready, and remove every pod that ends, until the block ends."""
    over = threading.Event()
    worker = threading.Thread(target=_work, args=(cluster, over), daemon=True)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join(10)


def _work(cluster: Cluster, over: threading.Event) -> None:
    while not over.wait(0.2):
        for pod in cluster.list("Pod"):
            try:
                _act(cluster, pod)
            except Exception:
                continue


def _act(cluster: Cluster, pod: dict[str, Any]) -> None:
    if pod["metadata"].get("deletionTimestamp"):
        cluster.request("DELETE", cluster.path("Pod", pod["metadata"]["name"]), {"gracePeriodSeconds": 0})
    elif pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") == "Pending":
        set_status(cluster, pod, {"ready": True, "state": {"running": {}}})
