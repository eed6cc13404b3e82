"""Nodes on paper: objects with GPUs and no machine. A stand-in for the kubelet starts and ends their pods."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from errors import SlipwayError
from launch.deploy.client import Cluster

NODES, VOLUMES = "api/v1/nodes", "api/v1/persistentvolumes"
CLASSES = "apis/storage.k8s.io/v1/storageclasses"
MERGE = "application/merge-patch+json"
READY = {"ready": True, "state": {"running": {}}}
COMPLETED = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
BIND, GONE = 20, 20  # seconds
STRATEGIC = "application/strategic-merge-patch+json"


def add_node(
    cluster: Cluster, name: str, tainted: bool = True, product: str = "", rdma: str = "", **allocatable: str
) -> None:
    """Add a ready node. `allocatable`: `gpus` of NVIDIA, `amd` GPUs, cpu, memory. `rdma` is the name of a resource."""
    amounts = {"cpu": "128", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "110"}
    gpus, amd = allocatable.pop("gpus", ""), allocatable.pop("amd", "")
    devices = {"nvidia.com/gpu": gpus, "amd.com/gpu": amd, **({rdma: "63"} if rdma else {})}
    amounts |= {**allocatable, **{name: number for name, number in devices.items() if number}}
    labels = {"kubernetes.io/hostname": name, **({"nvidia.com/gpu.product": product} if product else {})}
    taints = [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}] if tainted and gpus else []
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    cluster.request("POST", NODES, body=body)
    ready = {"type": "Ready", "status": "True", "reason": "OnPaper"}
    status = {"status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}}
    cluster.request("PATCH", f"{NODES}/{name}/status", body=status, kind=MERGE)
    # The API server taints every new node as not ready; no controller waits for a machine here.
    cluster.request("PATCH", f"{NODES}/{name}", body={"spec": {"taints": taints}}, kind=MERGE)


def add_weights(
    cluster: Cluster,
    name: str = "slipway-weights",
    folder: Path | None = None,
    mode: str = "ReadWriteMany",
) -> None:
    """Add a volume, on paper or a folder of a real node, and the claim that is bound to it."""
    source: dict[str, Any] = {"nfs": {"server": "nfs.example", "path": "/"}}
    if folder:
        source = {"hostPath": {"path": str(folder)}}
    spec = {"accessModes": [mode], "storageClassName": ""}
    claim = {"namespace": cluster.namespace, "name": name}
    volume = {
        "capacity": {"storage": "300Gi"},
        **source,
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


def add_class(
    cluster: Cluster, name: str, provisioner: str = "paper.example/nfs", default: bool = True
) -> None:
    """Add a storage class. `Kubelet` makes the volumes of its claims."""
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    body = {"metadata": {"name": name, "annotations": notes}, "provisioner": provisioner}
    cluster.request("POST", CLASSES, body=body)


def provision(cluster: Cluster, claim: dict[str, Any]) -> None:
    """Make the volume that a claim of a class waits for."""
    spec, meta = claim["spec"], claim["metadata"]
    volume = {
        "accessModes": spec["accessModes"],
        "storageClassName": spec.get("storageClassName", ""),
        "capacity": spec["resources"]["requests"],
        "nfs": {"server": "nfs.example", "path": "/"},
        "claimRef": {"namespace": cluster.namespace, "name": meta["name"]},
    }
    body = {"metadata": {"name": f"{cluster.namespace}-{meta['name']}"}, "spec": volume}
    cluster.request("POST", VOLUMES, body=body)


def clear(cluster: Cluster) -> None:
    """Remove all workloads, pods, nodes and volumes, because other tests count the GPUs of the cluster."""
    for kind in ("LeaderWorkerSet", "Deployment", "Job", "Service", "PersistentVolumeClaim"):
        for item in cluster.list(kind):
            cluster.delete(kind, item["metadata"]["name"])
    end = time.monotonic() + GONE
    while cluster.list("ReplicaSet") or cluster.list("Pod"):
        assert time.monotonic() < end, "pods remain"
        cluster.request("DELETE", cluster.path("Pod"), {"gracePeriodSeconds": 0})
        time.sleep(0.1)
    cluster.request("DELETE", NODES)
    cluster.request("DELETE", VOLUMES)
    cluster.request("DELETE", CLASSES)


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


class Kubelet:
    """Give every placed pod `state`, and remove every pod that ends, from start to stop.

    The pods of a Job end with `fetched`, and claims of a class get a volume.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.state: dict[str, Any] = READY
        self.phase = "Running"
        self.fetched: dict[str, Any] = COMPLETED
        self._cluster, self._over = cluster, threading.Event()
        self._worker = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        self._over.set()
        self._worker.join(10)

    def _work(self) -> None:
        while not self._over.wait(0.2):
            for claim in self._cluster.list("PersistentVolumeClaim"):
                with contextlib.suppress(SlipwayError):  # its volume exists
                    if claim["status"].get("phase") == "Pending" and claim["spec"].get("storageClassName"):
                        provision(self._cluster, claim)
            for pod in self._cluster.list("Pod"):
                with contextlib.suppress(SlipwayError):  # the pod went meanwhile
                    self._act(pod)

    def _act(self, pod: dict[str, Any]) -> None:
        cluster, name = self._cluster, pod["metadata"]["name"]
        if pod["metadata"].get("deletionTimestamp"):
            cluster.request("DELETE", cluster.path("Pod", name), {"gracePeriodSeconds": 0})
        elif pod["spec"].get("nodeName") and not pod["status"].get("containerStatuses"):
            if "job-name" not in pod["metadata"]["labels"]:
                set_status(cluster, pod, self.state, self.phase)
            elif self.fetched is COMPLETED:
                set_status(cluster, pod, COMPLETED, "Succeeded")
            else:
                waits = "waiting" in self.fetched["state"]
                set_status(cluster, pod, self.fetched, "Pending" if waits else "Failed")
