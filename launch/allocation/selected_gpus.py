"""Turn the chosen GPUs into inputs of a plan: the hardware, its memory, and how a container gets the GPUs.

Pure, except that the file system is asked for the owners of device nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from errors import Refused
from launch.access import seccomp
from launch.allocation.choose_gpus import choose, held_by, kind
from launch.allocation.holders import Holder
from launch.hardware.detect import platform_of
from launch.hardware.types import Gpu, Hardware
from launch.spec.gpu_catalog import HardwareProfile, catalog
from launch.spec.inputs import Host

BRANDS = {"nvidia": "NVIDIA", "amd": "AMD"}
KFD = "/dev/kfd"


@dataclass(frozen=True)
class SelectedGpus:
    """The GPUs of this host for one launch."""

    hardware: HardwareProfile
    gpus: tuple[Gpu, ...]
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    cdi: tuple[str, ...] = ()
    cdi_reason: str = ""
    runtime: str = ""
    vram_gib: float | None = None

    @property
    def ranks(self) -> int:
        """Return the devices that a runtime counts: one for each GPU, more for partitioned AMD cards."""
        return sum(gpu.ranks for gpu in self.gpus)

    def on(self, host: Host) -> Host:
        """Return the host with these GPUs."""
        return replace(
            host,
            hardware=self.hardware,
            gpus=self.ranks,
            devices=self.devices,
            groups=self.groups,
            gpu_ids=self.gpu_ids,
            cdi=self.cdi,
            cdi_reason=self.cdi_reason,
            runtime=self.runtime,
            vram_gib=self.vram_gib,
            seccomp=str(seccomp.PROFILE) if self.devices else "",
        )


def select_gpus(
    hardware: Hardware,
    wanted: str = "",
    platform: str = "",
    running: Iterable[Holder] = (),
    own: str = "",
    profiles: Mapping[str, HardwareProfile] | None = None,
    root: Path = Path("/"),
) -> SelectedGpus:
    """Return the GPUs that `--gpus` means on this host; "" takes all free GPUs of one kind.

    `own` is the container that this launch replaces. Its GPUs are kept if they are what the launch wants, and are free
    for it otherwise. Raises Refused without GPUs or if the user must be more specific, Failed if too few are free.
    """
    platform, running = platform_of(hardware, platform), tuple(running)
    report = hardware.for_platform(platform)
    if not report.gpus:
        why = (
            "no GPU was detected on this machine"
            if platform == "cpu"
            else f"this machine has no GPU for {platform}"
        )
        example = "mi300x --gpus 8" if platform == "rocm" else "h200 --gpus 4"
        fix = f"--hardware {example}, or --platform cpu; to try Slipway here: invoke demo"
        raise Refused("no hardware to plan for", why="; ".join((why, *report.problems)), fix=fix)
    others = tuple(holder for holder in running if holder.name != own)
    owned = [gpu for gpu in report.gpus for h in running if h.name == own and h.gpus.includes(gpu)]
    if owned and wanted in ("", str(len(owned)), ",".join(str(gpu.index) for gpu in owned)):
        return describe(owned, profiles, root)
    gpus = [replace(gpu, processes=(), used=None) if gpu in owned else gpu for gpu in report.gpus]
    return describe(choose(gpus, wanted or _most(gpus, others), others), profiles, root)


def _most(gpus: Sequence[Gpu], running: tuple[Holder, ...]) -> str:
    """Return the number of free GPUs of the most frequent kind; of all GPUs if none is free, for the refusal."""
    kinds = [kind(gpu) for gpu in gpus if not held_by(gpu, running)]
    return str(max(map(kinds.count, kinds), default=len(gpus)))


def describe(
    gpus: Sequence[Gpu], profiles: Mapping[str, HardwareProfile] | None = None, root: Path = Path("/")
) -> SelectedGpus:
    """Return what a plan needs to know about these GPUs, which are of one kind."""
    amd = gpus[0].vendor == "amd"
    devices = tuple(device for gpu in gpus for device in gpu.devices)
    profile = profile_of(gpus[0], catalog() if profiles is None else profiles)
    return SelectedGpus(
        hardware=_with_ranks(profile, sum(gpu.ranks for gpu in gpus)),
        gpus=tuple(gpus),
        devices=devices,
        groups=groups((KFD, *devices), root) if amd else (),
        gpu_ids=_amd_ids(gpus) if amd else tuple(gpu.uuid or str(gpu.index) for gpu in gpus),
        cdi=_cdi_names(gpus),
        vram_gib=_vram_gib(gpus),
    )


def _cdi_names(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Return the CDI names of all GPUs, none if one of them has no name."""
    if not all(gpu.cdi_names for gpu in gpus):
        return ()
    return tuple(name for gpu in gpus for name in gpu.cdi_names)


def _vram_gib(gpus: Sequence[Gpu]) -> float | None:
    """Return the memory of the smallest rank, None if no size is known."""
    partitions = [part.memory for gpu in gpus for part in gpu.parts]
    sizes = [size for size in partitions or [gpu.memory for gpu in gpus] if size]
    return min(sizes) / 2**30 if sizes else None


def _with_ranks(profile: HardwareProfile, ranks: int) -> HardwareProfile:
    """Raise GPUs per node to the ranks of this host: eight partitioned cards may have 64."""
    usual = profile.per_node
    return replace(profile, per_node=max(usual, ranks)) if usual else profile


def _amd_ids(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Return the UUIDs, or none if they are ambiguous.

    A partitioned card has none for all its partitions, and virtual functions may share one.
    """
    unique = {gpu.uuid for gpu in gpus if gpu.ranks == 1} - {""}
    return tuple(gpu.uuid for gpu in gpus) if len(unique) == len(gpus) else ()


def profile_of(gpu: Gpu, profiles: Mapping[str, HardwareProfile]) -> HardwareProfile:
    """Return the listed profile, or one made from the driver's facts for a GPU that is in no list."""
    if gpu.hardware in profiles:
        listed = profiles[gpu.hardware]
        return replace(listed, arch=listed.arch or gpu.arch)  # a taxonomy has no architectures
    return HardwareProfile(
        id=gpu.hardware or re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-") or gpu.vendor,
        brand=BRANDS[gpu.vendor],
        generation="amd" if gpu.vendor == "amd" else "",
        vram_gib=(gpu.memory or 0) / 2**30,
        arch=gpu.arch,
        source="this machine's driver",
    )


def groups(devices: Iterable[str], root: Path = Path("/")) -> tuple[str, ...]:
    """Return the groups that own device nodes, by number because the image may not know their names.

    Root's group is left out, because it gives no access that others lack. A node that cannot be seen is ignored.
    """
    gids = set()
    for device in devices:
        try:
            gids.add((root / device.lstrip("/")).stat().st_gid)
        except OSError:
            continue
    return tuple(str(gid) for gid in sorted(gids - {0}))
