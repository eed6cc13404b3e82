"""Looking at devices and the kernel, below a root folder. Nothing found here raises."""

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
    """The device nodes that a container of this platform is given."""
    if platform == "rocm":
        renders = (render for gpu in hardware.amd.gpus for render in gpu.devices)
        return tuple(device(path, root) for path in ("/dev/kfd", *renders))
    if platform == "cuda":
        return tuple(device(path, root) for path in ("/dev/nvidiactl", "/dev/nvidia-uvm"))
    return ()


def device(path: str, root: Path = Path("/")) -> Device:
    """Who owns a device node, and whether this user may read and write it."""
    place = root / path.lstrip("/")
    try:
        gid = place.stat().st_gid
    except OSError:
        return Device(path)
    return Device(path, True, gid, group_name(gid), os.access(place, os.R_OK | os.W_OK))


def group_name(gid: int) -> str:
    """A group's name, "" where the system has none for it."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def kernel(root: Path = Path("/")) -> Kernel:
    """Settings of the kernel that matter to GPUs and to shared memory."""
    groups = [entry for _, entry in sysfs.numbered_entries(root / "sys/kernel/iommu_groups")]
    shm, free = _space(root / "dev/shm")
    memlock = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return Kernel(
        numa_balancing=sysfs.read_number(root / "proc/sys/kernel/numa_balancing"),
        iommu=_iommu(root, groups),
        iommu_groups=len(groups),
        shm=shm,
        shm_free=free,
        memlock=None if memlock == resource.RLIM_INFINITY else memlock,
        release=sysfs.read_text(root / "proc/sys/kernel/osrelease"),
    )


def _iommu(root: Path, groups: list[Path]) -> str:
    """Pass-through, as the kernel was told or as its groups say; "" where there is no IOMMU."""
    if "iommu=pt" in sysfs.read_text(root / "proc/cmdline").split():
        return "identity"
    types = {sysfs.read_text(group / "type") for group in groups} - {""}
    return "" if not types else ("identity" if types == {"identity"} else "DMA")


def _space(folder: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None, None
    return usage.total, usage.free
