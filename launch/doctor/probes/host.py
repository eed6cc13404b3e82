"""Read device nodes and kernel settings below a root folder. Never raises for what is missing."""

from __future__ import annotations

import grp
import os
import resource
import shutil
from pathlib import Path

from launch.doctor.facts import Device, Kernel
from launch.hardware import sysfs
from launch.hardware.types import Hardware


def devices(platform: str, hardware: Hardware, root: Path = Path("/")) -> tuple[Device, ...]:
    """Return the device nodes that a container of this platform gets."""
    if platform == "rocm":
        render_nodes = (path for gpu in hardware.amd.gpus for path in gpu.devices)
        return tuple(device(path, root) for path in ("/dev/kfd", *render_nodes))
    if platform == "cuda":
        return tuple(device(path, root) for path in ("/dev/nvidiactl", "/dev/nvidia-uvm"))
    return ()


def device(path: str, root: Path = Path("/")) -> Device:
    """Return the group of a device node, and whether this user can read and write it."""
    node = root / path.lstrip("/")
    try:
        gid = node.stat().st_gid
    except OSError:
        return Device(path)
    return Device(path, True, gid, group_name(gid), os.access(node, os.R_OK | os.W_OK))


def group_name(gid: int) -> str:
    """Return the name of a group; "" if the system has no name for it."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def kernel(root: Path = Path("/")) -> Kernel:
    """Read the kernel settings that matter for GPUs and shared memory."""
    groups = [entry for _, entry in sysfs.numbered_entries(root / "sys/kernel/iommu_groups")]
    shm, shm_free = _disk_usage(root / "dev/shm")
    memlock = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return Kernel(
        numa_balancing=sysfs.read_number(root / "proc/sys/kernel/numa_balancing"),
        iommu=_iommu(root, groups),
        iommu_groups=len(groups),
        shm=shm,
        shm_free=shm_free,
        memlock=None if memlock == resource.RLIM_INFINITY else memlock,
        release=sysfs.read_text(root / "proc/sys/kernel/osrelease"),
    )


def _iommu(root: Path, groups: list[Path]) -> str:
    """Return the domain type, from the kernel's command line or from its groups; "" without an IOMMU."""
    if "iommu=pt" in sysfs.read_text(root / "proc/cmdline").split():
        return "identity"
    types = {sysfs.read_text(group / "type") for group in groups} - {""}
    return "" if not types else ("identity" if types == {"identity"} else "DMA")


def _disk_usage(folder: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None, None
    return usage.total, usage.free
