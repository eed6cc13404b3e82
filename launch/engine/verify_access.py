"""After a start: whether the engine granted what the plan needs. Podman ignores device requests without a word."""

from __future__ import annotations

import re
from typing import Any

from errors import Failed
from launch.engine.client import execute
from launch.spec.plan import Container, Plan

RENDER = "/dev/dri/render"
# What a GPU looks like inside: its device node; below Windows all NVIDIA GPUs share /dev/dxg.
NODES = {"cuda": r"nvidia\d+|dxg", "rocm": r"renderD\d+"}
FIX = (
    "use CDI (nvidia-ctk cdi generate; podman from 5.4 on) or Docker with the NVIDIA container toolkit;"
    " invoke doctor"
)


def check_access(client: Any, container: Any, plan: Plan) -> None:
    """Raises Failed for a running container without the GPUs or the /dev/shm of its plan."""
    from docker.errors import APIError

    container.reload()
    if container.status != "running":
        return  # it ended at once; its log tells more than its devices
    if plan.container.shm_bytes and container.attrs["HostConfig"].get("ShmSize") != plan.container.shm_bytes:
        raise Failed(f"{container.name} has another /dev/shm than planned", fix="invoke doctor")
    if not _wants_gpus(plan.container):
        return
    try:
        status, said = execute(client, container, ["ls", "/dev", "/dev/dri"])
    except APIError:
        return  # it ended in between
    missing = [] if status in (126, 127) else missing_gpus(plan, set(said.split()))  # an image without ls
    if missing:
        why = f"missing inside: {', '.join(missing)}; an engine may ignore device requests"
        raise Failed(f"{container.name} started without its GPUs", why=why, fix=FIX)


def _wants_gpus(given: Container) -> bool:
    return bool(given.gpu_ids or given.cdi or any(path.startswith(RENDER) for path in given.devices))


def missing_gpus(plan: Plan, seen: set[str]) -> list[str]:
    """What of a plan's GPUs is not among the names of a container's /dev and /dev/dri."""
    given = plan.container
    wanted = [path for path in given.devices if path.startswith(RENDER)]
    if given.cdi and plan.platform == "rocm":
        wanted.append("/dev/kfd")
    missing = [path for path in wanted if path.rpartition("/")[2] not in seen]
    if given.gpu_ids or given.cdi:
        missing += _too_few(plan, seen)
    return missing


def _too_few(plan: Plan, seen: set[str]) -> list[str]:
    """By number: what a device request or a CDI name becomes inside is the engine's to say."""
    have = sum(1 for name in seen if re.fullmatch(NODES[plan.platform], name))
    need = max(1, len(plan.container.cdi))
    return [] if have >= need or "dxg" in seen else [f"{need - have} of {need} GPU(s) by name"]
