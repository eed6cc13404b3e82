"""The plan as the arguments of the docker SDK's `containers.create`: what `invoke run` starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errors import Refused
from launch.spec.plan import Container, Plan, Process


def arguments(plan: Plan, process: Process) -> dict[str, Any]:
    """Keyword arguments for one node's container; settings that are not used are left out.

    The docker module is imported only where an NVIDIA device request or a ulimit is needed.
    """
    c = plan.container
    given = {
        "image": plan.image,
        "entrypoint": list(plan.program(process)),
        "command": list(plan.command(process)),
        "environment": dict(plan.environment(process)),
        "devices": [f"{device}:{device}:rwm" for device in c.devices],
        "device_requests": _requests(c),
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
        "tmpfs": {path.partition(":")[0]: path.partition(":")[2] for path in c.tmpfs},
        "ports": {f"{port.container}/tcp": (port.host_ip, port.host) for port in c.ports},
        "volumes": [f"{m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in c.mounts],
        "name": c.name,
        "tty": c.tty,
        "stdin_open": c.tty,
    }
    return {key: value for key, value in given.items() if value}


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


def _requests(container: Container) -> list[Any]:
    if not (container.gpu_ids or container.cdi):
        return []
    from docker.types import DeviceRequest

    found = [DeviceRequest(driver="cdi", device_ids=list(container.cdi))] if container.cdi else []
    if container.gpu_ids == ("all",):
        return [*found, DeviceRequest(count=-1, capabilities=[["gpu"]])]
    if container.gpu_ids:
        found.append(DeviceRequest(device_ids=list(container.gpu_ids), capabilities=[["gpu"]]))
    return found


def _ulimits(container: Container) -> list[Any]:
    if not container.ulimits:
        return []
    from docker.types import Ulimit

    return [Ulimit(name=name, soft=limit, hard=limit) for name, limit in container.ulimits]
