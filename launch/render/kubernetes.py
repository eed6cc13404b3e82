"""Print the plan for a cluster: a Deployment for one node, a LeaderWorkerSet for several, and a Service.

The loopback port of a single machine becomes a Service that only the cluster can reach.
"""

from __future__ import annotations

import re
from typing import Any

from errors import Refused
from launch.render.comments import comments
from launch.render.health import has_api
from launch.render.pod import SERVES_ON, pod_spec
from launch.render.shell import quote
from launch.spec.plan import Plan


def render(plan: Plan) -> str:
    """Return YAML documents. Raises Refused for access that a pod cannot have."""
    import yaml

    class NoAliases(yaml.SafeDumper):
        """A dumper that writes a repeated value again instead of an alias, which is hard to read."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    text = yaml.dump_all(documents(plan), Dumper=NoAliases, sort_keys=False, width=100)
    return comments(plan, elsewhere=True) + _node_setting(plan) + str(text)


def _node_setting(plan: Plan) -> str:
    """Return as a comment the setting that a pod cannot have, but each node."""
    pids = plan.container.pids_limit
    if not pids:
        return ""
    return f"# A pod cannot limit its processes. In the kubelet configuration of each node: podPidsLimit: {pids}\n"


def documents(plan: Plan) -> list[dict[str, Any]]:
    """Return the values of the documents."""
    names = [group for group in plan.container.groups if not group.isdigit()]
    if names:
        why = "a pod's supplementalGroups are numbers"
        raise Refused(f"a pod cannot have the group '{names[0]}'", why=why, fix="--access least")
    workload = _leader_worker_set(plan) if len(plan.processes) > 1 else _deployment(plan)
    return [workload, _service(plan)]


def name_of(plan: Plan) -> str:
    """Return a name that Kubernetes accepts, also for a Service: it begins with a letter."""
    own = (plan.container.name or plan.model.rpartition("/")[2]).lower()
    name = re.sub(r"[^a-z0-9]+", "-", own).strip("-")
    return (name if name[:1].isalpha() else f"vllm-{name}")[:40].strip("-")


def _labels(plan: Plan) -> dict[str, str]:
    return {"app.kubernetes.io/name": name_of(plan), "slipway/plan": plan.digest}


def _deployment(plan: Plan) -> dict[str, Any]:
    labels = _labels(plan)
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # the old pod holds the GPUs until it is gone
        "selector": {"matchLabels": {"app.kubernetes.io/name": name_of(plan)}},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec(plan, plan.processes[0])},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name_of(plan), "labels": labels},
        "spec": spec,
    }


def _leader_worker_set(plan: Plan) -> dict[str, Any]:
    """Return head and workers as one group, which starts and fails together."""
    leader, worker = ({**_labels(plan), "role": process.role} for process in plan.processes[:2])
    group = {
        "size": len(plan.processes),
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": {"metadata": {"labels": leader}, "spec": pod_spec(plan, plan.processes[0])},
        "workerTemplate": {"metadata": {"labels": worker}, "spec": _worker(plan)},
    }
    kind = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet"}
    meta = {"name": name_of(plan), "labels": _labels(plan)}
    return {**kind, "metadata": meta, "spec": {"replicas": 1, "leaderWorkerTemplate": group}}


def _worker(plan: Plan) -> dict[str, Any]:
    """Return the one template of all workers. With several, a shell computes what depends on their number."""
    pod = pod_spec(plan, plan.processes[1])
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
    ports = [{"name": "http", "port": outer, "targetPort": inner} for outer, inner in pairs]
    meta = {"name": name_of(plan), "labels": _labels(plan)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": selector, "ports": ports},
    }
