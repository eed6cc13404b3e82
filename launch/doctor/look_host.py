"""Looking at devices, CDI specs and the kernel, below a root folder. Nothing found here raises."""

from __future__ import annotations

import grp
import json
import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from launch.doctor.facts import CdiSpec, Device, Kernel
from launch.hardware import sysfs
from launch.hardware.facts import Hardware

CDI_FOLDERS = ("etc/cdi", "var/run/cdi")


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


def specs(root: Path = Path("/")) -> tuple[CdiSpec, ...]:
    """Every CDI spec of the host, read or said to be unreadable."""
    found = []
    for folder in CDI_FOLDERS:
        for path in sysfs.entries(root / folder):
            if path.suffix in (".json", ".yaml", ".yml"):
                found.append(spec(path, root))
    return tuple(found)


def spec(path: Path, root: Path = Path("/")) -> CdiSpec:
    """One CDI spec (github.com/cncf-tags/container-device-interface, SPEC.md)."""
    shown = "/" + str(path.relative_to(root))
    try:
        given = path.read_text()
        data = json.loads(given) if path.suffix == ".json" else yaml.load(given, Loader=_loader())
        return _spec(shown, data, root)
    except (
        OSError,
        ValueError,
        yaml.YAMLError,
        RecursionError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        return CdiSpec(shown, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _loader() -> Any:
    """The C loader where there is one: a spec of eight GPUs has some thousand lines."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _spec(shown: str, data: dict[str, Any], root: Path) -> CdiSpec:
    devices = data["devices"]
    edits = [data.get("containerEdits") or {}, *(entry.get("containerEdits") or {} for entry in devices)]
    nodes = [node for edit in edits for node in edit.get("deviceNodes") or ()]
    paths = {str(node.get("hostPath") or node["path"]) for node in nodes}
    mounts = [str(mount["hostPath"]) for edit in edits for mount in edit.get("mounts") or ()]
    return CdiSpec(
        shown,
        kind=str(data["kind"]),
        names=tuple(str(entry["name"]) for entry in devices),
        drivers=tuple(sorted({version for mount in mounts for version in _driver(mount)})),
        missing=tuple(sorted(path for path in paths if not sysfs.is_here(root / path.lstrip("/")))),
    )


def _driver(mount: str) -> Iterator[str]:
    match = re.search(r"lib(?:cuda|nvidia-ml)\.so\.([0-9]+\.[0-9.]+)$", mount)
    if match:
        yield match.group(1)


def toolkit() -> str:
    """Where NVIDIA's container toolkit is: nvidia-ctk, or the hook that `--gpus` calls."""
    names = ("nvidia-ctk", "nvidia-container-runtime-hook", "nvidia-container-toolkit")
    return next((found for found in map(shutil.which, names) if found), "")


def kernel(root: Path = Path("/")) -> Kernel:
    """Settings of the kernel that matter to GPUs and to shared memory."""
    groups = [entry for _, entry in sysfs.numbered(root / "sys/kernel/iommu_groups")]
    shm, free = _space(root / "dev/shm")
    memlock = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return Kernel(
        numa_balancing=sysfs.read_number(root / "proc/sys/kernel/numa_balancing"),
        iommu=_iommu(root, groups),
        iommu_groups=len(groups),
        shm=shm,
        shm_free=free,
        memlock=None if memlock == resource.RLIM_INFINITY else memlock,
        release=sysfs.text(root / "proc/sys/kernel/osrelease"),
    )


def _iommu(root: Path, groups: list[Path]) -> str:
    """Pass-through, as the kernel was told or as its groups say; "" where there is no IOMMU."""
    if "iommu=pt" in sysfs.text(root / "proc/cmdline").split():
        return "identity"
    types = {sysfs.text(group / "type") for group in groups} - {""}
    return "" if not types else ("identity" if types == {"identity"} else "DMA")


def _space(folder: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None, None
    return usage.total, usage.free
