"""CPU, memory and local disk of a pod, so that it is not the first to be removed and no LimitRange sets its sizes.

Memory and disk have the same request and limit. The limit of CPU is higher, because a pod at its limit is slowed down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import parse_yaml
from launch.render.cluster_settings import ClusterSettings
from launch.spec.plan import Plan

RESOURCES = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu"}
GIB = 2**30
RDMA = "/dev/infiniband"
UNKNOWN = 4  # GiB of a CPU rank, if the plan has no estimate
BURST = 4  # times the requested CPU: tokenizers and compilers use more cores for a short time


@dataclass(frozen=True)
class PodResources:
    """Amounts of one pod. `device` is the name of the GPUs of a device plugin; "" without GPUs."""

    cores: int
    memory_gib: int
    cache_gib: int  # of the folder with compiled kernels
    disk_gib: int
    device: str = ""
    gpus: int = 0


@cache
def _rows() -> dict[str, Any]:
    return dict(parse_yaml(Path(__file__).with_name("pod_resources.yaml").read_text()))


def resources_of(plan: Plan) -> PodResources:
    """Return what the pod of one node needs."""
    device = RESOURCES.get(plan.platform, "")
    row = _rows()["gpu" if device else "cpu"]
    ranks = plan.layout.gpus // plan.layout.nodes
    cores, memory, disk = (row[key]["base"] + ranks * row[key]["rank"] for key in ("cores", "memory", "disk"))
    if not device:  # weights and KV cache are in the memory of the pod
        memory += ranks * (plan.fit.per_gpu_gib or UNKNOWN)
    in_memory = plan.container.shm_bytes + sum(tmpfs.size_bytes for tmpfs in plan.container.tmpfs)
    gpus = ranks if device else 0
    return PodResources(ceil(cores), ceil(memory + in_memory / GIB), ceil(disk) - 1, ceil(disk), device, gpus)


def resources(plan: Plan, settings: ClusterSettings) -> dict[str, Any]:
    """Return requests and limits. Quantities are texts, which every server accepts in a server-side apply."""
    need = resources_of(plan)
    cpu = settings.cpu or str(need.cores)
    same = {
        "memory": settings.memory or f"{need.memory_gib}Gi",
        "ephemeral-storage": f"{need.disk_gib}Gi",
        **({need.device: str(need.gpus)} if need.device else {}),
        # One is enough: a plugin that shares adapters gives all of its resource, and NCCL takes what it finds.
        **({settings.rdma: "1"} if settings.rdma and RDMA in plan.container.devices else {}),
    }
    most = settings.cpu or str(BURST * need.cores)
    return {"requests": {"cpu": cpu, **same}, "limits": {"cpu": most, **same}}
