"""A stand-in for the LeaderWorkerSet controller, which is not to be had as a package: makes what it makes, once.

A headless Service named like the set, and the pods of each group with their LWS_* variables.
"""

from __future__ import annotations

import copy
from typing import Any

from launch.deploy.client import Cluster

LABEL = "leaderworkerset.sigs.k8s.io/name"


def reconcile(cluster: Cluster, name: str) -> None:
    """Make Service and pods of a set."""
    found = cluster.get("LeaderWorkerSet", name)
    assert found is not None, name
    spec, service = found["spec"], {"clusterIP": "None", "selector": {LABEL: name}, "ports": [{"port": 1}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service}
    cluster.request("POST", cluster.path("Service"), body=body)
    owner = {key: found[key] for key in ("apiVersion", "kind")}
    owners = [{**owner, "name": name, "uid": found["metadata"]["uid"]}]
    group = spec["leaderWorkerTemplate"]
    for replica in range(spec["replicas"]):
        for worker in range(group["size"]):
            template = group["workerTemplate" if worker else "leaderTemplate"]
            pod = f"{name}-{replica}{f'-{worker}' if worker else ''}"
            address = f"{name}-{replica}.{name}.{cluster.namespace}"
            cluster.request(
                "POST", cluster.path("Pod"), body=_pod(template, pod, name, address, worker, owners)
            )


def _pod(
    template: dict[str, Any], pod: str, name: str, address: str, worker: int, owners: list[dict[str, Any]]
) -> dict[str, Any]:
    spec = copy.deepcopy(template["spec"])
    values = {"LWS_LEADER_ADDRESS": address, "LWS_WORKER_INDEX": str(worker)}
    own = [{"name": key, "value": value} for key, value in values.items()]
    spec["containers"][0]["env"] = own + spec["containers"][0]["env"]
    labels = {**template["metadata"]["labels"], LABEL: name}
    meta = {"name": pod, "labels": labels, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
