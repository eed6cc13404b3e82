"""The pod of one node of a plan, as Kubernetes values.

The vendor's device plugin provides the GPUs, so devices are a count. Paths and users of the planning host mean nothing
on a node: the weights come from a claim, and the pod has a user of its own. The startup probe holds the others back
until the server has loaded; the liveness probe then fails only if vLLM's engine has died, however busy the server is.
"""

from __future__ import annotations

import re
from typing import Any

from launch.access.profiles import CACHE, HUB
from launch.render.cluster_settings import DEFAULT, ClusterSettings
from launch.render.health import INTERVAL, RETRIES, TIMEOUT, endpoint, health_command, start_seconds
from launch.render.pod_resources import RDMA, resources, resources_of
from launch.spec.plan import Container, Mount, Plan, Process
from launch.spec.vllm_args import Draft, parse

BY_PLUGIN = ("/dev/kfd", "/dev/dri")
# The cluster's values for the launcher's variables: LeaderWorkerSet gives every pod its leader's address.
CLUSTER_VALUES = {"$HEAD_IP": "$(LWS_LEADER_ADDRESS)", "$IFACE_NAME": "eth0"}
SERVES_ON = 8000
API_KEY = "slipway-api-key"  # kubectl create secret generic slipway-api-key --from-env-file=FILE
PERIOD = 10  # seconds
LEAVE = 5  # seconds in which the Services forget a pod, before its server is asked to end
SHUTDOWN = 30  # seconds for a server without --shutdown-timeout, as `invoke stop`
REMOVAL = 15  # seconds in which the processes end after that

Volume = tuple[dict[str, Any], dict[str, Any]]  # a volume of the pod, and its mount in the container


def name_of(plan: Plan) -> str:
    """Return the name of a plan's objects."""
    return name_for(plan.container.name, plan.model)


def name_for(name: str, model: str) -> str:
    """Return a name that Kubernetes accepts, also for a Service: it begins with a letter."""
    own = (name or model.rpartition("/")[2]).lower()
    name = re.sub(r"[^a-z0-9]+", "-", own).strip("-")
    return (name if name[:1].isalpha() else f"vllm-{name}")[:40].strip("-")


def pod_spec(plan: Plan, process: Process, settings: ClusterSettings = DEFAULT) -> dict[str, Any]:
    """Return the spec of the pod that runs this process."""
    c = plan.container
    volumes = _volumes(plan, settings)
    device = resources_of(plan).device
    toleration = {"key": device, "operator": "Exists", "effect": "NoSchedule"}
    pod: dict[str, Any] = {
        # vLLM reads its variables from VLLM_*, and each Service of the namespace would add some.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": LEAVE + _shutdown_seconds(process) + REMOVAL,
        "securityContext": _pod_security(c, settings),
        "schedulerName": settings.scheduler or None,
        "imagePullSecrets": [{"name": settings.pull_secret}] if settings.pull_secret else None,
        "hostIPC": c.ipc == "host" or None,
        "tolerations": [toleration] if device else None,
        "affinity": _affinity(plan, settings) or None,
        "containers": [_container(plan, process, volumes, settings)],
        "volumes": [volume for volume, _ in volumes] or None,
    }
    return {key: value for key, value in pod.items() if value is not None}


def _shutdown_seconds(process: Process) -> int:
    return Draft(parse(process.argv[3:])).number("--shutdown-timeout", SHUTDOWN) or 0


def _affinity(plan: Plan, settings: ClusterSettings) -> dict[str, Any]:
    """Keep the pods of groups apart, because each is planned with a whole node; ask for the planned kind of GPU."""
    when = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity: dict[str, Any] = {}
    if len(plan.processes) > 1:
        labels = {"matchLabels": {"app.kubernetes.io/name": name_of(plan)}}
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": labels}
        affinity["podAntiAffinity"] = {when: [term]}
    if settings.products:
        key = f"{resources_of(plan).device}.product"
        terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": list(settings.products)}]}]
        affinity["nodeAffinity"] = {when: {"nodeSelectorTerms": terms}}
    return affinity


def _pod_security(container: Container, settings: ClusterSettings) -> dict[str, Any]:
    """Return the user and the seccomp profile. A profile that is a file of this host is not on the nodes."""
    unconfined = "seccomp=unconfined" in container.security_opt
    user = _user(container, settings)
    context = {
        **({"runAsNonRoot": True} if user != 0 and container.user else {}),
        **({"runAsUser": user, "runAsGroup": user, "fsGroup": user} if user is not None else {}),
        # The first mount of a large volume would otherwise change the group of every file in it.
        **({"fsGroupChangePolicy": "OnRootMismatch"} if user is not None else {}),
        "seccompProfile": {"type": "Unconfined" if unconfined else "RuntimeDefault"},
    }
    groups = [int(group) for group in container.groups]
    return {**context, **({"supplementalGroups": groups} if groups else {})}


def _user(container: Container, settings: ClusterSettings) -> int | None:
    """Return the user of the pod; None leaves it to the image or the cluster. Only root can use capabilities."""
    if not container.user:
        return None
    return 0 if container.profile == "profiling" else settings.run_as


def _container(
    plan: Plan, process: Process, volumes: list[Volume], settings: ClusterSettings
) -> dict[str, Any]:
    c = plan.container
    inner = {port.container for port in c.ports} or {SERVES_ON}
    container = {
        "name": "vllm",
        "image": plan.image,
        "command": [_escape(word) for word in plan.program(process)],
        "args": [_escape(word) for word in plan.command(process)],
        # A Secret of the cluster instead of a file of secrets on a host; the user creates it from that file.
        "envFrom": [{"secretRef": {"name": API_KEY}}] if c.env_files else [],
        "env": [{"name": name, "value": _escape(value)} for name, value in plan.environment(process)],
        "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"} for port in sorted(inner)],
        "resources": resources(plan, settings),
        "securityContext": _security(c),
        **_probes(plan, process),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVE)]}}},
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
    caps = {"add": list(container.cap_add), "drop": list(container.cap_drop)}
    options = container.security_opt
    context = {
        "privileged": container.privileged or None,
        "capabilities": {key: value for key, value in caps.items() if value} or None,
        "allowPrivilegeEscalation": False if "no-new-privileges" in options else None,
        "readOnlyRootFilesystem": container.read_only or None,
    }
    return {key: value for key, value in context.items() if value is not None}


def _volumes(plan: Plan, settings: ClusterSettings) -> list[Volume]:
    """Return the volumes of the pod, each with its mount."""
    container = plan.container
    volumes = [
        _mounted(f"mount-{number}", mount, plan, settings) for number, mount in enumerate(container.mounts)
    ]
    by_plugin = (*BY_PLUGIN, *([RDMA] if settings.rdma else []))
    others = (device for device in container.devices if not device.startswith(by_plugin))
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


def _mounted(name: str, mount: Mount, plan: Plan, settings: ClusterSettings) -> Volume:
    """Return the volume of a mount: a claim for the weights, an empty folder as cache, else a folder of the node."""
    place = {"name": name, "mountPath": mount.target} | ({"readOnly": True} if mount.read_only else {})
    if mount.target == CACHE:
        return {"name": name, "emptyDir": {"sizeLimit": f"{resources_of(plan).cache_gib}Gi"}}, place
    if mount.target == HUB and not settings.weights_path:
        claim = {"claimName": settings.weights, "readOnly": True}
        return {"name": name, "persistentVolumeClaim": claim}, place
    path = settings.weights_path if mount.target == HUB else mount.source
    kind = "Directory" if mount.read_only else "DirectoryOrCreate"
    return {"name": name, "hostPath": {"path": path, "type": kind}}, place
