"""From the GPUs that were chosen to what a plan is made from: the hardware, its memory, and how a container gets it.

Pure but for the owners of device nodes, which are asked of the file system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from errors import Refused
from launch.access import seccomp
from launch.allocation.gpus import Holder, choose, held_by, kind
from launch.hardware import types as hardware_types
from launch.hardware.detect import platform_of
from launch.spec.gpu_catalog import Hardware, known
from launch.spec.inputs import Host

BRANDS = {"nvidia": "NVIDIA", "amd": "AMD"}
KFD = "/dev/kfd"


@dataclass(frozen=True)
class Chosen:
    """GPUs of this host for one launch. `ranks` is how many devices a runtime will count in them."""

    hardware: Hardware
    gpus: tuple[hardware_types.Gpu, ...]
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    cdi: tuple[str, ...] = ()
    by_cdi: str = ""
    vram_gib: float | None = None

    @property
    def ranks(self) -> int:
        """Devices that a runtime counts: one a GPU, more where AMD cards are partitioned."""
        return sum(gpu.ranks for gpu in self.gpus)

    def on(self, host: Host) -> Host:
        """The same host with these GPUs in it."""
        return replace(
            host,
            hardware=self.hardware,
            gpus=self.ranks,
            devices=self.devices,
            groups=self.groups,
            gpu_ids=self.gpu_ids,
            cdi=self.cdi,
            by_cdi=self.by_cdi,
            vram_gib=self.vram_gib,
            seccomp=str(seccomp.PROFILE) if self.devices else "",
        )


def take(
    seen: hardware_types.Hardware,
    wanted: str = "",
    platform: str = "",
    running: Iterable[Holder] = (),
    own: str = "",
    table: Mapping[str, Hardware] | None = None,
    root: Path = Path("/"),
) -> Chosen:
    """The GPUs that `--gpus` means on this host; "" takes all that are free and alike.

    `own` is the container that this launch would replace: what it holds is kept where that is what is wanted,
    and free for it otherwise. Raises Refused where there are no GPUs or the user must say more, Failed where too
    few are free.
    """
    platform, running = platform_of(seen, platform), tuple(running)
    gpus = seen.on(platform).gpus
    if not gpus:
        why = "no GPU of this machine is known" if platform == "cpu" else f"no GPU for {platform} is here"
        said = "; ".join((why, *seen.on(platform).problems))
        raise Refused("no hardware to plan for", why=said, fix="--hardware h200 --gpus 4, or --platform cpu")
    others = tuple(holder for holder in running if holder.name != own)
    mine = [gpu for gpu in gpus for holder in running if holder.name == own and holder.holds(gpu)]
    if mine and wanted in ("", str(len(mine)), ",".join(str(gpu.index) for gpu in mine)):
        return describe(mine, table, root)
    left = [replace(gpu, processes=(), used=None) if gpu in mine else gpu for gpu in gpus]
    return describe(choose(left, wanted or _all(left, others), others), table, root)


def _all(gpus: Sequence[hardware_types.Gpu], running: tuple[Holder, ...]) -> str:
    """The number of free GPUs of the most frequent kind; of all where none is free, for the refusal."""
    free = [kind(gpu) for gpu in gpus if not held_by(gpu, running)]
    return str(max(map(free.count, free), default=len(gpus)))


def describe(
    gpus: Sequence[hardware_types.Gpu], table: Mapping[str, Hardware] | None = None, root: Path = Path("/")
) -> Chosen:
    """What a plan needs to know of these GPUs, which are of one kind."""
    first, amd = gpus[0], gpus[0].vendor == "amd"
    parts = [part.memory for gpu in gpus for part in gpu.parts] if amd else [gpu.memory for gpu in gpus]
    sizes = [size for size in parts if size]
    devices = tuple(device for gpu in gpus for device in gpu.devices)
    ranks = sum(gpu.ranks for gpu in gpus)
    return Chosen(
        hardware=_holding(hardware_of(first, known() if table is None else table), ranks),
        gpus=tuple(gpus),
        devices=devices,
        groups=groups((KFD, *devices), root) if amd else (),
        gpu_ids=_ids(gpus),
        cdi=tuple(name for gpu in gpus for name in gpu.cdi_names)
        if all(gpu.cdi_names for gpu in gpus)
        else (),
        vram_gib=min(sizes) / 2**30 if sizes else None,
    )


def _holding(hardware: Hardware, ranks: int) -> Hardware:
    """The usual machine has so many GPUs; this one has what it has, 64 ranks where eight cards are partitioned."""
    usual = hardware.per_node
    return replace(hardware, per_node=max(usual, ranks)) if usual else hardware


def _ids(gpus: Sequence[hardware_types.Gpu]) -> tuple[str, ...]:
    """UUIDs. A partitioned AMD card has none for all its parts, virtual functions may share one: then none is given."""
    if gpus[0].vendor == "amd":
        ids = {gpu.uuid for gpu in gpus if gpu.ranks == 1} - {""}
        return tuple(gpu.uuid for gpu in gpus) if len(ids) == len(gpus) else ()
    return tuple(gpu.uuid or str(gpu.index) for gpu in gpus)


def hardware_of(gpu: hardware_types.Gpu, table: Mapping[str, Hardware]) -> Hardware:
    """The listed hardware; a GPU that is in no list is itself, with the facts that its driver gives."""
    if gpu.hardware in table:
        listed = table[gpu.hardware]
        return replace(listed, arch=listed.arch or gpu.arch)  # a taxonomy does not say it
    brand = BRANDS[gpu.vendor]
    return Hardware(
        id=gpu.hardware or re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-") or gpu.vendor,
        brand=brand,
        generation="amd" if gpu.vendor == "amd" else "",
        vram_gib=(gpu.memory or 0) / 2**30,
        arch=gpu.arch,
        source="this machine's driver",
    )


def groups(devices: Iterable[str], root: Path = Path("/")) -> tuple[str, ...]:
    """The groups that own device nodes, by number: the image may know none of their names.

    Root's own group opens nothing that others may not, and a node that cannot be seen has none to give.
    """
    found = set()
    for device in devices:
        try:
            found.add((root / device.lstrip("/")).stat().st_gid)
        except OSError:
            continue
    return tuple(str(gid) for gid in sorted(found - {0}))
