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
# Prints those of the folders after it that the container can write to.
WRITABLE = ("sh", "-c", 'for folder; do [ -w "$folder" ] && echo "$folder"; done; true', "sh")
FIX = (
    "use CDI (nvidia-ctk cdi generate; podman 5.4 or later, or its own client on PATH), or Docker with the NVIDIA"
    " container toolkit;"
    " `invoke doctor` shows what is missing"
)


def check_access(client: DockerClient, container: Container, plan: Plan) -> None:
    """Raise Failed if a running container lacks the GPUs, the /dev/shm size or the writable folders of its plan."""
    container.reload()
    if container.status != "running":
        return  # it exited: its log tells more than its devices
    if plan.container.shm_bytes and container.attrs["HostConfig"].get("ShmSize") != plan.container.shm_bytes:
        raise Failed(f"the size of /dev/shm in {container.name} differs from the plan", fix="invoke doctor")
    _check_writable(client, container, plan.container)
    if not _needs_gpus(plan.container):
        return
    output = _output(client, container, ["ls", "/dev", "/dev/dri"])
    if missing := missing_gpus(plan, set(output.split())) if output is not None else []:
        why = f"missing in the container: {', '.join(missing)}; an engine may ignore device requests"
        raise Failed(f"{container.name} started without its GPUs", why=why, fix=FIX)


def _output(client: DockerClient, container: Container, argv: list[str]) -> str | None:
    """Return what a program prints in the container; None if it cannot run there."""
    from docker.errors import APIError

    try:
        status, output = execute(client, container, argv)
    except APIError:
        return None  # the container exited meanwhile
    return (
        output if status in (0, 1, 2) else None
    )  # the image has no such program, or the container was killed


def _check_writable(client: DockerClient, container: Container, planned: PlannedContainer) -> None:
    """Raise Failed if a read-only root file system is writable, or a folder that should be writable is not."""
    if not planned.read_only:
        return
    sources = writable_folders(planned)
    output = _output(client, container, [*WRITABLE, "/", *sources])
    if output is None:
        return
    writable = output.split("\n")
    if "/" in writable:
        why = "the plan makes it read-only, and the engine ignored that"
        raise Failed(f"the root file system of {container.name} is writable", why=why, fix="invoke doctor")
    if refused := [folder for folder in sources if folder not in writable]:
        raise _not_writable(str(container.name), planned, refused[0], sources[refused[0]])


def writable_folders(planned: PlannedContainer) -> dict[str, str]:
    """Return the folders that the container writes to, each with its folder on the host, "" if it has none."""
    mounts = {mount.target: mount.source for mount in planned.mounts if not mount.read_only}
    memory = {**dict.fromkeys((tmpfs.target for tmpfs in planned.tmpfs), ""), "/dev/shm": ""}
    return {**mounts, **memory}


def _not_writable(name: str, planned: PlannedContainer, folder: str, source: str) -> Failed:
    what = f"{name} cannot write to '{folder}'"
    if not source.startswith("/"):
        return Failed(what, why=f"user {planned.user or 'of the image'} may not", fix="--access documented")
    why = f"user {planned.user} may not write to '{source}' on the host: another user owns it, or SELinux forbids it"
    return Failed(what, why=why, fix=f"sudo chown -R {planned.user} {source}")


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
