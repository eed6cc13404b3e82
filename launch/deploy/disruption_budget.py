"""How many pods of a server may be away while nodes are drained. Pure."""

from __future__ import annotations

from launch.deploy.client import Object
from launch.deploy.object_labels import own_labels, server_pods
from launch.deploy.quantity import pods_of


def disruption_budget(workload: Object) -> Object | None:
    """Return the budget of a server with several pods: one at a time; None for a single pod.

    A group that loses a pod starts again as a whole, so this keeps all other groups. A budget for a single pod would
    either protect nothing or let no node be drained.
    """
    if sum(count for _, count in pods_of([workload])) < 2:
        return None
    name = workload["metadata"]["name"]
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": own_labels(name)},
        "spec": {"maxUnavailable": 1, "selector": server_pods(name)},
    }
