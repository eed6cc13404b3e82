"""Translate a plan into arguments of the docker SDK's `containers.create`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Refused
from launch.spec.plan import Container, Plan, Process

if TYPE_CHECKING:
    from docker.types import DeviceRequest, Ulimit


def arguments(plan: Plan, process: Process) -> dict[str, Any]:
    """Return keyword arguments for one node's container, without settings that are not used.

    The docker module is imported only if the plan has a device request or a ulimit: the import is slow.
    """
    c = plan.container
    args = {
        "image": plan.image,
        "entrypoint": list(plan.program(process)),
        "command": list(plan.command(process)),
        "environment": dict(plan.environment(process)),
        "devices": [f"{device}:{device}:rwm" for device in c.devices],
        "device_requests": _device_requests(c),
        "group_add": list(c.groups),
        "cap_add": list(c.cap_add),
        "cap_drop": list(c.cap_drop),
        "security_opt": [_security_option(option) for option in c.security_opt],
        "privileged": c.privileged,
        "ipc_mode": c.ipc,
        "shm_size": c.shm_bytes,
        "network_mode": c.network,
        "user": c.user,
        "ulimits": _ulimits(c),
        "read_only": c.read_only,
        "tmpfs": {tmpfs.target: tmpfs.options for tmpfs in c.tmpfs},
        "pids_limit": c.pids_limit,
        "ports": {f"{port.container}/tcp": (port.host_ip, port.host) for port in c.ports},
        "volumes": [f"{m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in c.mounts],
        "name": c.name,
        "tty": c.tty,
        "stdin_open": c.tty,
    }
    return {key: value for key, value in args.items() if value}


def _security_option(option: str) -> str:
    """Return an option with the content of its seccomp file: the client reads that file, not the engine.

    Raises Refused if the file cannot be read.
    """
    name, _, path = option.partition("=")
    if name != "seccomp" or path in ("", "unconfined", "builtin") or path.startswith("{"):
        return option
    try:
        return f"seccomp={Path(path).read_text()}"
    except OSError as error:
        raise Refused(f"cannot read the seccomp profile '{path}'", why=str(error.strerror)) from None


def _device_requests(container: Container) -> list[DeviceRequest]:
    if not (container.gpu_ids or container.cdi):
        return []
    from docker.types import DeviceRequest

    requests = [DeviceRequest(driver="cdi", device_ids=list(container.cdi))] if container.cdi else []
    if container.gpu_ids == ("all",):
        return [*requests, DeviceRequest(count=-1, capabilities=[["gpu"]])]
    if container.gpu_ids:
        requests.append(DeviceRequest(device_ids=list(container.gpu_ids), capabilities=[["gpu"]]))
    return requests


def _ulimits(container: Container) -> list[Ulimit]:
    if not container.ulimits:
        return []
    from docker.types import Ulimit

    return [Ulimit(name=name, soft=limit, hard=limit) for name, limit in container.ulimits]
