"""Choose the GPUs for a launch: free ones, close to each other, and none that another container or process uses.

The state is what runs: the engine's containers and the memory in use. `reservation.py` checks it again, under a lock of
the host, before the container starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import Failed, Refused
from launch.allocation.topology import closest_gpus
from launch.hardware.cdi import KINDS
from launch.hardware.types import Gpu

if TYPE_CHECKING:
    from docker import DockerClient

# From this many bytes in use on, a GPU counts as taken. An idle driver uses less: 297,611,264 on an MI300X
# (rocm-smi --showmeminfo vram, published); NVML reports the driver's reserve separately.
BUSY = 1 << 30
LABEL = "slipway.gpus"
ALL = {"all", "/dev/dri", "/dev/dri/", *(f"{kind}=all" for kind in KINDS.values())}
# A vendor's runtime -> its variable, and the kind of device that a number in it means. NVIDIA's also takes CDI names.
RUNTIMES = {
    "nvidia": ("NVIDIA_VISIBLE_DEVICES", ""),
    "amd": ("AMD_VISIBLE_DEVICES", f"{KINDS['amd']}="),
}


@dataclass(frozen=True)
class GpuSet:
    """GPUs as an engine names them. `names` are UUIDs, PCI addresses, render nodes and AMD's CDI names."""

    names: frozenset[str] = frozenset()
    nvidia_indices: frozenset[int] = frozenset()
    everything: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> GpuSet:
        """Return the GPUs in device ids. An id that cannot be a GPU's is left out."""
        ids = [name if name in ALL else _device_id(name) for name in names]
        indices = frozenset(int(name) for name in ids if name.isascii() and name.isdigit())
        others = frozenset(name for name in ids if name not in ALL and not name.isdigit())
        return cls(others - {""}, indices, not ALL.isdisjoint(ids))

    def __bool__(self) -> bool:
        return self != GpuSet()

    def includes(self, gpu: Gpu) -> bool:
        """Return whether this card, or a partition of it, is among them."""
        if self.everything or (gpu.vendor == "nvidia" and gpu.index in self.nvidia_indices):
            return True
        names = {gpu.key, gpu.uuid, gpu.cdi, *gpu.devices, *(part.cdi for part in gpu.parts)}
        return not self.names.isdisjoint(names)


def _device_id(name: str) -> str:
    """Return a device id without NVIDIA's CDI kind: the UUID or index, also for a MIG slice; "" for no GPU.

    AMD's CDI names stay whole, because their numbers are those of the spec.
    """
    kind, equals, device = name.partition("=")
    if kind == KINDS["nvidia"]:
        return re.sub(r"^(?:gpu|mig)?(\d+)(?::\d+)?$", r"\1", device, flags=re.ASCII)
    return "" if equals and kind not in KINDS.values() else name


@dataclass(frozen=True)
class Holder:
    """A container, and the GPUs that it was given."""

    name: str
    gpus: GpuSet


def holders(client: DockerClient) -> tuple[Holder, ...]:
    """Return all running containers with GPUs, including those that Slipway did not start.

    Stopped containers are left out, because the lock covers the time between creating a container and its start.
    """
    running = (client.api.inspect_container(row["Id"]) for row in client.api.containers())
    return tuple(holder for details in running if (holder := holder_of(details)).gpus)


def holder_of(details: Mapping[str, Any]) -> Holder:
    """Return the GPUs of one container, from the data of `docker inspect`."""
    host, config = details.get("HostConfig") or {}, details.get("Config") or {}
    label = (config.get("Labels") or {}).get(LABEL, "")
    requested = [name for request in host.get("DeviceRequests") or () for name in _requested(request)]
    nodes = [str(device.get("PathOnHost", "")) for device in host.get("Devices") or ()]
    visible = _visible(str(host.get("Runtime")), config.get("Env") or ())
    gpus = GpuSet.of((*label.split(","), *requested, *gpu_nodes(nodes), *visible))
    return Holder(str(details.get("Name", "?")).lstrip("/"), gpus)


def gpu_nodes(nodes: Iterable[str]) -> tuple[str, ...]:
    """Return the device nodes that stand for GPUs: render nodes, and the folder of all of them."""
    return tuple(node for node in nodes if node.startswith("/dev/dri/render") or node in ALL)


def _requested(request: Mapping[str, Any]) -> list[str]:
    ids = [str(name) for name in request.get("DeviceIDs") or ()]
    return ids or (["all"] if request.get("Count") else [])


def _visible(runtime: str, environment: Sequence[str]) -> list[str]:
    """Return the GPUs that a vendor's runtime gives for its variable. Other runtimes ignore the variable."""
    variable, prefix = RUNTIMES.get(runtime, ("", ""))
    values = [
        entry.partition("=")[2] for entry in environment if variable and entry.startswith(f"{variable}=")
    ]
    names = values[-1].split(",") if values else []
    return [prefix + name for name in names if name not in ("", "none", "void")]


def held_by(gpu: Gpu, running: Iterable[Holder]) -> str:
    """Return what uses a GPU or why it cannot be used, "" if it is free."""
    for holder in running:
        if holder.gpus.includes(gpu):
            return f"container {holder.name}"
    if gpu.problem:
        return gpu.problem
    if gpu.mig:
        return "MIG: it is divided into slices"
    if gpu.processes:
        process = gpu.processes[0]
        return f"process {process.pid}" + (f" ({process.name})" if process.name else "")
    used = gpu.used or 0
    return f"{used / 2**30:.1f} GiB in use" if used >= BUSY else ""


def choose(gpus: Sequence[Gpu], wanted: str, running: Iterable[Holder] = ()) -> tuple[Gpu, ...]:
    """Return the GPUs for `--gpus`: a number takes free ones, a list takes those.

    Raises Refused for a GPU that does not exist, is taken (naming the holder) or is of another model. Raises Failed if
    too few are free.
    """
    running = tuple(running)
    indices = _indices(wanted)
    return _named(gpus, indices, running) if indices is not None else _free(gpus, int(wanted), running)


def _indices(wanted: str) -> list[int] | None:
    """Return the list of `0,2`; None for a single number, which is a count. `0,` is a list of one GPU."""
    words = wanted.split(",")
    if len(words) == 1:
        if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
            raise Refused(
                f"--gpus must be a number of GPUs or a list of indices (got '{wanted}')",
                fix="--gpus 4 or --gpus 0,2",
            )
        return None
    names = [word.strip() for word in words if word.strip()]
    if not names or not all(name.isascii() and name.isdigit() for name in names):
        raise Refused(f"--gpus '{wanted}' is not a list of GPU indices", fix="invoke gpus")
    if len(set(map(int, names))) < len(names):
        fix = f"--gpus {','.join(dict.fromkeys(names))}"
        raise Refused(f"--gpus {wanted} names a GPU twice", fix=fix)
    return [int(name) for name in names]


def _named(gpus: Sequence[Gpu], indices: Sequence[int], running: tuple[Holder, ...]) -> tuple[Gpu, ...]:
    by_index = {gpu.index: gpu for gpu in gpus}
    for index in indices:
        if index not in by_index:
            why = f"this host has: {', '.join(map(str, by_index)) or 'none'}"
            raise Refused(f"there is no GPU {index}", why=why, fix="invoke gpus")
        if holder := held_by(by_index[index], running):
            raise Refused(f"GPU {index} is taken", why=holder, fix=_other(gpus, len(indices), running))
    chosen = tuple(by_index[index] for index in indices)
    if len(kinds := {kind(gpu) for gpu in chosen}) > 1:
        names = " and ".join(sorted(name for name, _ in kinds))
        raise Refused(f"the GPUs are of different models: {names}", fix="--gpus with GPUs of one model")
    return chosen


def _other(gpus: Sequence[Gpu], count: int, running: tuple[Holder, ...]) -> str:
    free = [gpu for gpu in gpus if not held_by(gpu, running)]
    return f"--gpus {count} takes free ones" if len(free) >= count else "invoke ps, then invoke stop"


def kind(gpu: Gpu) -> tuple[str, int]:
    """Return the model with its number of partitions, and the memory in GiB: equal cards can serve together."""
    partitions = f" in {gpu.ranks} partitions" if gpu.ranks > 1 else ""
    return f"{gpu.name or gpu.hardware}{partitions}", round((gpu.memory or 0) / 2**30)


def _free(gpus: Sequence[Gpu], count: int, running: tuple[Holder, ...]) -> tuple[Gpu, ...]:
    taken = {gpu.index: holder for gpu in gpus if (holder := held_by(gpu, running))}
    groups: dict[tuple[str, int], list[Gpu]] = {}
    for gpu in gpus:
        if gpu.index not in taken:
            groups.setdefault(kind(gpu), []).append(gpu)
    large_enough = [group for group in groups.values() if len(group) >= count]
    if not large_enough:
        why = "; ".join(f"GPU {index}: {holder}" for index, holder in taken.items()) or "no GPU is taken"
        most = max(map(len, groups.values()), default=0)
        what = f"--gpus {count}: of {len(gpus)} GPUs, {most} of one model are free"
        raise Failed(what, why=why, fix=f"--gpus {most}" if most else "invoke ps, then invoke stop")
    best = max(large_enough, key=lambda group: (group[0].memory or 0, -group[0].index))
    return closest_gpus(best, count)
