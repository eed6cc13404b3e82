"""Print the plan as a Compose file (compose-spec): one service for each node."""

from __future__ import annotations

import re
from typing import Any

from launch.render.comments import comments
from launch.render.health import INTERVAL, RETRIES, TIMEOUT, health_command, start_seconds
from launch.render.shell import LAUNCHER_VARIABLE, lines, make_folders, published
from launch.render.yaml_text import dump
from launch.spec.image_reference import is_image_id
from launch.spec.plan import Container, Mount, Plan, Process

UNHEALTHY = (
    "# Docker marks a server whose engine has died as unhealthy and does not restart it;"
    " `slipway run --supervise` does.\n"
)


def render(plan: Plan, monitoring: bool = False) -> str:
    """Return YAML, with Prometheus and Grafana together with the server if `monitoring`.

    With several nodes, run `docker compose up head` on the first, `up worker-1` on the second.
    """
    command = make_folders(plan.container)
    first = f"# on every host first: {lines([command], ' ')}\n" if command else ""
    values = document(plan)
    if monitoring:
        from launch.render.monitoring.compose import with_monitoring

        values = with_monitoring(values, plan)
    checked = any("healthcheck" in service for service in values["services"].values())
    return comments(plan) + first + (UNHEALTHY if checked else "") + dump([values])


def document(plan: Plan) -> dict[str, Any]:
    """Return the values of the file."""
    services = {_name(process): escaped(_service(plan, process)) for process in plan.processes}
    volumes: dict[str, Any] = {mount.source: {} for mount in plan.container.mounts if "/" not in mount.source}
    name = {"name": project_name(plan)} if plan.container.name else {}
    return name | {"services": services} | ({"volumes": volumes} if volumes else {})


def project_name(plan: Plan) -> str:
    """Return a project's name that Compose accepts. It keeps two servers apart whose files share a folder."""
    return re.sub(r"[^a-z0-9_-]+", "-", plan.container.name.lower())


def _name(process: Process) -> str:
    return f"{process.role}-{process.node}" if process.role == "worker" else process.role


def _service(plan: Plan, process: Process) -> dict[str, Any]:
    c = plan.container
    service = {
        "image": plan.image,
        "pull_policy": "never" if is_image_id(plan.image) else "",
        "container_name": c.name,
        # vLLM exits with 0 after its engine core has died, so `on-failure` is not enough. The guide's shell may end.
        "restart": "" if c.tty else "unless-stopped",
        "healthcheck": {} if c.tty else _health_check(plan, process),
        "entrypoint": list(plan.program(process)),
        "command": list(plan.command(process)),
        "env_file": list(c.env_files),
        "environment": dict(plan.environment(process)),
        "tty": c.tty,
        "stdin_open": c.tty,
        "privileged": c.privileged,
        "ipc": c.ipc,
        "network_mode": c.network,
        "user": c.user,
        "shm_size": c.shm_bytes,
        "cap_add": list(c.cap_add),
        "cap_drop": list(c.cap_drop),
        "security_opt": list(c.security_opt),
        "devices": [*(f"{device}:{device}" for device in c.devices), *c.cdi],
        "deploy": _gpus(c),
        "group_add": list(c.groups),
        "ulimits": {name: {"soft": limit, "hard": limit} for name, limit in c.ulimits},
        "pids_limit": c.pids_limit,
        "read_only": c.read_only,
        "tmpfs": [f"{tmpfs.target}:{tmpfs.options}" for tmpfs in c.tmpfs],
        "ports": [published(port) for port in c.ports],
        "volumes": [_volume(mount) for mount in c.mounts],
    }
    return {key: value for key, value in service.items() if value}


def _health_check(plan: Plan, process: Process) -> dict[str, Any]:
    """Return the check. Failures during `start_period` do not count, until the first success."""
    command = health_command(plan, process)
    if not command:
        return {}
    return {
        "test": ["CMD", *command],
        "interval": f"{INTERVAL}s",
        "timeout": f"{TIMEOUT}s",
        "retries": RETRIES,
        "start_period": f"{start_seconds(plan)}s",
    }


def escaped(value: Any) -> Any:
    """Double every dollar in texts, because Compose expands variables; the launcher's variables stay variables."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if not isinstance(value, str):
        return value
    match = LAUNCHER_VARIABLE.fullmatch(value)
    return f"${{{match[2]}}}" if match and not match[1] else value.replace("$", "$$")


def _gpus(container: Container) -> dict[str, Any]:
    ids = container.gpu_ids
    if not ids:
        return {}
    selected: dict[str, Any] = {"count": "all"} if ids == ("all",) else {"device_ids": list(ids)}
    device = {"driver": "nvidia", **selected, "capabilities": ["gpu"]}
    return {"resources": {"reservations": {"devices": [device]}}}


def _volume(mount: Mount) -> dict[str, Any]:
    kind = "bind" if "/" in mount.source else "volume"
    return {"type": kind, "source": mount.source, "target": mount.target, "read_only": mount.read_only}
