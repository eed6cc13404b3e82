"""Print the plan for a cluster: a Deployment for one node, a LeaderWorkerSet for several, and a Service.

The vendor's device plugin provides the GPUs, so devices are a count. The loopback port of a single machine becomes a
Service that only the cluster can reach. Probes: /health may take 2,700 s at the first start; /v1/models answers once
the server serves.
"""

from __future__ import annotations

import re
from typing import Any

from errors import Refused
from launch.render.shell import quote
from launch.spec.plan import Container, Mount, Plan, Process

RESOURCES = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu"}
BY_PLUGIN = ("/dev/kfd", "/dev/dri")
# The cluster's values for the launcher's variables: LeaderWorkerSet gives every pod its leader's address.
CLUSTER_VALUES = {"$HEAD_IP": "$(LWS_LEADER_ADDRESS)", "$IFACE_NAME": "eth0"}
SERVES_ON = 8000
API_KEY = "slipway-api-key"  # kubectl create secret generic slipway-api-key --from-env-file=FILE
START_SECONDS, PERIOD = 2700, 10


def render(plan: Plan) -> str:
    """Return YAML documents. Raises Refused for access that a pod cannot have."""
    import yaml

    class NoAliases(yaml.SafeDumper):
        """A dumper that writes a repeated value again instead of an alias, which is hard to read."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump_all(documents(plan), Dumper=NoAliases, sort_keys=False, width=100)


def _secret(container: Container) -> dict[str, Any]:
    """Use a Secret of the cluster instead of a file of secrets on a host; the user creates it from that file."""
    return {"envFrom": [{"secretRef": {"name": API_KEY}}]} if container.env_files else {}


def documents(plan: Plan) -> list[dict[str, Any]]:
    """Return the values of the documents."""
    names = [group for group in plan.container.groups if not group.isdigit()]
    if names:
        why = "a pod's supplementalGroups are numbers"
        raise Refused(f"a pod cannot have the group '{names[0]}'", why=why, fix="--access least")
    workload = _leader_worker_set(plan) if len(plan.processes) > 1 else _deployment(plan)
    return [workload, _service(plan)]


def name_of(plan: Plan) -> str:
    """Return a name that Kubernetes accepts."""
    tail = plan.model.rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", tail).strip("-")[:40].strip("-") or "vllm"


def _labels(plan: Plan) -> dict[str, str]:
    return {"app.kubernetes.io/name": name_of(plan), "slipway/plan": plan.digest}


def _deployment(plan: Plan) -> dict[str, Any]:
    labels = _labels(plan)
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # the old pod holds the GPUs until it is gone
        "selector": {"matchLabels": {"app.kubernetes.io/name": name_of(plan)}},
        "template": {"metadata": {"labels": labels}, "spec": _pod(plan, plan.processes[0])},
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
        "leaderTemplate": {"metadata": {"labels": leader}, "spec": _pod(plan, plan.processes[0])},
        "workerTemplate": {"metadata": {"labels": worker}, "spec": _worker(plan)},
    }
    kind = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet"}
    meta = {"name": name_of(plan), "labels": _labels(plan)}
    return {**kind, "metadata": meta, "spec": {"replicas": 1, "leaderWorkerTemplate": group}}


def _worker(plan: Plan) -> dict[str, Any]:
    """Return the one template of all workers. With several, a shell computes what depends on their number."""
    pod = _pod(plan, plan.processes[1])
    if not _has_api(plan.processes[1]):
        del pod["containers"][0]["startupProbe"], pod["containers"][0]["readinessProbe"]
    if len(plan.processes) > 2:
        pod["containers"][0].pop("args")
        pod["containers"][0]["command"] = ["sh", "-c", f"exec {_for_any_worker(plan)}"]
    return pod


def _has_api(worker: Process) -> bool:
    """Return whether a worker has an API of its own, as with hybrid load balancing."""
    return "--data-parallel-hybrid-lb" in worker.argv


def _for_any_worker(plan: Plan) -> str:
    first, second = (plan.processes[rank].argv for rank in (1, 2))
    words = (
        quote(word) if word == other else f"$((LWS_WORKER_INDEX * {word}))"
        for word, other in zip(first, second, strict=True)
    )
    return " ".join(words).replace("$HEAD_IP", "$LWS_LEADER_ADDRESS")


def _service(plan: Plan) -> dict[str, Any]:
    selector = {"app.kubernetes.io/name": name_of(plan)}
    if len(plan.processes) > 1 and not _has_api(plan.processes[1]):
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


def _pod(plan: Plan, process: Process) -> dict[str, Any]:
    c = plan.container
    volumes = _volumes(c)
    pod = {
        "containers": [_container(plan, process, volumes)],
        "hostIPC": c.ipc == "host",
        "securityContext": {"supplementalGroups": [int(group) for group in c.groups]} if c.groups else {},
        "volumes": [volume for volume, _ in volumes],
    }
    return {key: value for key, value in pod.items() if value}


def _container(
    plan: Plan, process: Process, volumes: list[tuple[dict[str, Any], dict[str, Any]]]
) -> dict[str, Any]:
    c = plan.container
    resource = RESOURCES.get(plan.platform)
    inner = {port.container for port in c.ports} or {SERVES_ON}
    probe = {"periodSeconds": PERIOD, "timeoutSeconds": 5}
    container = {
        "name": "vllm",
        "image": plan.image,
        **({"command": list(program)} if (program := plan.program(process)) else {}),
        "args": [_escape(word) for word in plan.command(process)],
        **_secret(plan.container),
        "env": [{"name": name, "value": _escape(value)} for name, value in plan.environment(process)],
        "ports": [{"name": "http", "containerPort": port} for port in sorted(inner)],
        "resources": {"limits": {resource: plan.layout.gpus // plan.layout.nodes}} if resource else {},
        "securityContext": _security(c),
        "startupProbe": {**_get("/health", inner), **probe, "failureThreshold": START_SECONDS // PERIOD},
        "readinessProbe": {**_get("/v1/models", inner), **probe},
        "volumeMounts": [mount for _, mount in volumes],
    }
    return {key: value for key, value in container.items() if value}


def _escape(word: str) -> str:
    """Double every `$(`, because Kubernetes expands $(NAME); the launcher's variables get the cluster's values."""
    return CLUSTER_VALUES.get(word) or word.replace("$(", "$$(")


def _get(path: str, inner: set[int]) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": min(inner)}}


def _security(container: Container) -> dict[str, Any]:
    user, _, group = container.user.partition(":")
    caps = {"add": list(container.cap_add), "drop": list(container.cap_drop)}
    options = container.security_opt
    context = {
        "privileged": container.privileged or None,
        "capabilities": {key: value for key, value in caps.items() if value} or None,
        "runAsUser": int(user) if user else None,
        "runAsGroup": int(group) if group else None,
        "seccompProfile": {"type": "Unconfined"} if "seccomp=unconfined" in options else None,
        "allowPrivilegeEscalation": False if "no-new-privileges" in options else None,
    }
    return {key: value for key, value in context.items() if value is not None}


def _volumes(container: Container) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the volumes of the pod, each with its mount."""
    volumes = [_mounted(f"mount-{number}", mount) for number, mount in enumerate(container.mounts)]
    others = (device for device in container.devices if not device.startswith(BY_PLUGIN))
    volumes += [
        (
            {"name": f"device-{number}", "hostPath": {"path": path}},
            {"name": f"device-{number}", "mountPath": path},
        )
        for number, path in enumerate(others)
    ]
    if container.shm_bytes:
        memory = {"medium": "Memory", "sizeLimit": str(container.shm_bytes)}
        volumes.append(({"name": "shm", "emptyDir": memory}, {"name": "shm", "mountPath": "/dev/shm"}))
    return volumes


def _mounted(name: str, mount: Mount) -> tuple[dict[str, Any], dict[str, Any]]:
    kind = "Directory" if mount.read_only else "DirectoryOrCreate"
    source = (
        {"hostPath": {"path": mount.source, "type": kind}}
        if "/" in mount.source
        else {"persistentVolumeClaim": {"claimName": mount.source}}
    )
    place = {"name": name, "mountPath": mount.target} | ({"readOnly": True} if mount.read_only else {})
    return {"name": name, **source}, place
