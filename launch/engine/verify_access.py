"""Check after a start that the container has the access of its plan: an engine may ignore device requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from errors import Failed
from launch.engine.client import execute
from launch.plural import count
from launch.spec.plan import Container as PlannedContainer
from launch.spec.plan import Plan

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

RENDER = "/dev/dri/render"
# Device nodes of GPUs inside a container. Under Windows all NVIDIA GPUs share /dev/dxg.
NODES = {"cuda": r"nvidia\d+|dxg", "rocm": r"renderD\d+"}
FIX = (
    "use CDI (nvidia-ctk cdi generate; podman 5.4 or later, or its own client on PATH), or Docker with the NVIDIA"
    " container toolkit;"
    " `invoke doctor` shows what is missing"
)


def check_access(client: DockerClient, container: Container, plan: Plan) -> None:
    """Raise Failed if a running container lacks the GPUs or the /dev/shm size of its plan."""
    from docker.errors import APIError

    container.reload()
    if container.status != "running":
        return  # it exited: its log tells more than its devices
    if plan.container.shm_bytes and container.attrs["HostConfig"].get("ShmSize") != plan.container.shm_bytes:
        raise Failed(f"the size of /dev/shm in {container.name} differs from the plan", fix="invoke doctor")
    if not _needs_gpus(plan.container):
        return
    try:
        status, output = execute(client, container, ["ls", "/dev", "/dev/dri"])
    except APIError:
        return  # it exited meanwhile
    image_has_ls = status not in (126, 127)
    if missing := missing_gpus(plan, set(output.split())) if image_has_ls else []:
        why = f"missing in the container: {', '.join(missing)}; an engine may ignore device requests"
        raise Failed(f"{container.name} started without its GPUs", why=why, fix=FIX)


def _needs_gpus(planned: PlannedContainer) -> bool:
    return bool(planned.gpu_ids or planned.cdi or any(path.startswith(RENDER) for path in planned.devices))


def missing_gpus(plan: Plan, nodes: set[str]) -> list[str]:
    """Return the GPUs of a plan that are not among the names in a container's /dev and /dev/dri."""
    planned = plan.container
    needed = [path for path in planned.devices if path.startswith(RENDER)]
    if planned.cdi and plan.platform == "rocm":
        needed.append("/dev/kfd")
    missing = [path for path in needed if path.rpartition("/")[2] not in nodes]
    if planned.gpu_ids or planned.cdi:
        missing += _missing_by_count(plan, nodes)
    return missing


def _missing_by_count(plan: Plan, nodes: set[str]) -> list[str]:
    """Compare numbers only: the engine chooses the node names for a device request or a CDI name."""
    found = sum(1 for name in nodes if re.fullmatch(NODES[plan.platform], name))
    needed = max(1, len(plan.container.cdi))
    return (
        [] if found >= needed or "dxg" in nodes else [f"{needed - found} of {count(needed, 'GPU')} by name"]
    )
