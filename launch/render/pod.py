"""The pod of one node of a plan, as Kubernetes values.

The vendor's device plugin provides the GPUs, so devices are a count. The startup probe holds the others back until the
server has loaded; the liveness probe then fails only if vLLM's engine has died, however busy the server is.
"""

from __future__ import annotations

from typing import Any

from launch.render.health import INTERVAL, RETRIES, TIMEOUT, endpoint, health_command, start_seconds
from launch.spec.plan import Container, Mount, Plan, Process

RESOURCES = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu"}
BY_PLUGIN = ("/dev/kfd", "/dev/dri")
# The cluster's values for the launcher's variables: LeaderWorkerSet gives every pod its leader's address.
CLUSTER_VALUES = {"$HEAD_IP": "$(LWS_LEADER_ADDRESS)", "$IFACE_NAME": "eth0"}
SERVES_ON = 8000
API_KEY = "slipway-api-key"  # kubectl create secret generic slipway-api-key --from-env-file=FILE
PERIOD = 10  # seconds

Volume = tuple[dict[str, Any], dict[str, Any]]  # a volume of the pod, and its mount in the container


def pod_spec(plan: Plan, process: Process) -> dict[str, Any]:
    """Return the spec of the pod that runs this process."""
    c = plan.container
    volumes = _volumes(c)
    pod = {
        "containers": [_container(plan, process, volumes)],
        "hostIPC": c.ipc == "host",
        "securityContext": {"supplementalGroups": [int(group) for group in c.groups]} if c.groups else {},
        "volumes": [volume for volume, _ in volumes],
    }
    return {key: value for key, value in pod.items() if value}


def _container(plan: Plan, process: Process, volumes: list[Volume]) -> dict[str, Any]:
    c = plan.container
    resource = RESOURCES.get(plan.platform)
    inner = {port.container for port in c.ports} or {SERVES_ON}
    container = {
        "name": "vllm",
        "image": plan.image,
        "command": [_escape(word) for word in plan.program(process)],
        "args": [_escape(word) for word in plan.command(process)],
        # A Secret of the cluster instead of a file of secrets on a host; the user creates it from that file.
        "envFrom": [{"secretRef": {"name": API_KEY}}] if c.env_files else [],
        "env": [{"name": name, "value": _escape(value)} for name, value in plan.environment(process)],
        "ports": [{"name": "http", "containerPort": port} for port in sorted(inner)],
        "resources": {"limits": {resource: plan.layout.gpus // plan.layout.nodes}} if resource else {},
        "securityContext": _security(c),
        **_probes(plan, process),
        "volumeMounts": [mount for _, mount in volumes],
    }
    return {key: value for key, value in container.items() if value}


def _escape(word: str) -> str:
    """Double every dollar: Kubernetes expands $(NAME), and reads $$ as one dollar.

    The launcher's variables get the cluster's values.
    """
    return CLUSTER_VALUES.get(word) or word.replace("$", "$$")


def _probes(plan: Plan, process: Process) -> dict[str, Any]:
    """Return the probes of a server; none if it has no API. A probe has no API key, and /health needs none."""
    at, command = endpoint(plan, process), health_command(plan, process)
    if at is None:
        return {}
    scheme = {"scheme": "HTTPS"} if at.tls else {}
    ready = "/health" if plan.container.env_files else "/v1/models"
    often = {"periodSeconds": PERIOD, "timeoutSeconds": 5}
    started, serves = (
        {"httpGet": {"path": path, "port": at.port, **scheme}, **often} for path in ("/health", ready)
    )
    alive = {"exec": {"command": [_escape(word) for word in command]}, "periodSeconds": INTERVAL}
    return {
        "startupProbe": {**started, "failureThreshold": start_seconds(plan) // PERIOD},
        "readinessProbe": serves,
        "livenessProbe": {**alive, "timeoutSeconds": TIMEOUT, "failureThreshold": RETRIES},
    }


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
        "readOnlyRootFilesystem": container.read_only or None,
    }
    return {key: value for key, value in context.items() if value is not None}


def _volumes(container: Container) -> list[Volume]:
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
        volumes.append(_in_memory("shm", "/dev/shm", container.shm_bytes))
    return volumes + [
        _in_memory(f"tmpfs-{number}", tmpfs.target, tmpfs.size_bytes)
        for number, tmpfs in enumerate(container.tmpfs)
    ]


def _in_memory(name: str, target: str, size_bytes: int) -> Volume:
    memory = {"medium": "Memory", "sizeLimit": str(size_bytes)}
    return {"name": name, "emptyDir": memory}, {"name": name, "mountPath": target}


def _mounted(name: str, mount: Mount) -> Volume:
    kind = "Directory" if mount.read_only else "DirectoryOrCreate"
    source = (
        {"hostPath": {"path": mount.source, "type": kind}}
        if "/" in mount.source
        else {"persistentVolumeClaim": {"claimName": mount.source}}
    )
    place = {"name": name, "mountPath": mount.target} | ({"readOnly": True} if mount.read_only else {})
    return {"name": name, **source}, place
