"""Which GPUs a launch takes: free ones, close to each other, and never one that somebody else holds.

The state is what runs: the containers of the engine and the memory in use. `host_lock.py` is held from the
choice until the container has started, so that two launches at once see each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from errors import Failed, Refused
from launch.allocation.topology import nearest
from launch.hardware.cdi import KINDS
from launch.hardware.types import Gpu

# Bytes in use from which on a GPU counts as somebody's. An idle driver keeps less: 297,611,264 on an MI300X
# (rocm-smi --showmeminfo vram, published); NVML counts the driver's reserve apart.
BUSY = 1 << 30
LABEL = "slipway.gpus"
# A vendor's runtime -> its variable, and the kind of device that a number in it is. NVIDIA's also takes CDI names.
RUNTIMES = {
    "nvidia": ("NVIDIA_VISIBLE_DEVICES", ""),
    "amd": ("AMD_VISIBLE_DEVICES", f"{KINDS['amd']}="),
}


@dataclass(frozen=True)
class Holder:
    """A container, and the GPUs it was given: their keys, indices, render nodes, AMD's CDI names, or ("all",)."""

    name: str
    gpus: tuple[str, ...]

    def holds(self, gpu: Gpu) -> bool:
        """Whether this card, or a part of it, is among them."""
        names = {"all", gpu.key, gpu.uuid, *gpu.devices}
        if gpu.vendor == "nvidia":
            names |= {str(gpu.index)}
        else:
            names |= {gpu.cdi, *(part.cdi for part in gpu.parts)}
        return bool((names - {""}).intersection(self.gpus))


def described(given: str, gpus: Sequence[Gpu]) -> str:
    """GPUs of the label of a container in words: `0-3 (4 x MI300X)`; a count if they are not on this host."""
    names = tuple(filter(None, map(by_name, given.split(","))))
    if not names:
        return ""
    held = [gpu for gpu in gpus if Holder("", names).holds(gpu)]
    if not held:
        return f"{len(names)} unknown"
    kinds = Counter((gpu.hardware or gpu.arch or gpu.name).upper() for gpu in held)
    return (
        f"{_ranges([gpu.index for gpu in held])} ({', '.join(f'{n} x {kind}' for kind, n in kinds.items())})"
    )


def _ranges(indices: Sequence[int]) -> str:
    """`0-3,6` for 0, 1, 2, 3, 6."""
    ordered = sorted(indices)
    starts = [n for n in ordered if n - 1 not in ordered]
    ends = [n for n in ordered if n + 1 not in ordered]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def holders(client: Any) -> tuple[Holder, ...]:
    """The running containers that were given GPUs, ours and others'.

    Stopped ones hold nothing: the lock covers the time between creating a container and its start.
    """
    found = (client.api.inspect_container(row["Id"]) for row in client.api.containers())
    return tuple(holder for details in found if (holder := holder_of(details)).gpus)


def holder_of(details: Mapping[str, Any]) -> Holder:
    """What one container was given, as `docker inspect` tells it."""
    host, config = details.get("HostConfig") or {}, details.get("Config") or {}
    labelled = (config.get("Labels") or {}).get(LABEL, "")
    asked = [word for request in host.get("DeviceRequests") or () for word in _requested(request)]
    nodes = [str(device.get("PathOnHost", "")) for device in host.get("Devices") or ()]
    renders = [node for node in nodes if node.startswith("/dev/dri/render")]
    everything = ["all"] if {"/dev/dri", "/dev/dri/"}.intersection(nodes) else []
    by_runtime = _visible(str(host.get("Runtime")), config.get("Env") or ())
    words = [*map(by_name, labelled.split(",")), *asked, *renders, *everything, *by_runtime]
    return Holder(
        str(details.get("Name", "?")).lstrip("/"), tuple(dict.fromkeys(word for word in words if word))
    )


def _requested(request: Mapping[str, Any]) -> Iterable[str]:
    ids = [by_name(str(word)) for word in request.get("DeviceIDs") or ()]
    return ids or (["all"] if request.get("Count") else [])


def by_name(word: str) -> str:
    """What a holder keeps of a device id: of NVIDIA's CDI names the UUID or index (of a MIG slice its GPU's).

    AMD's numbers are its spec's and not ours, so they stay whole; so do names that are no GPU's.
    """
    kind, named, name = word.partition("=")
    if named and name == "all" and kind in KINDS.values():
        return "all"
    if kind != KINDS["nvidia"]:
        return word
    return re.sub(r"^(?:gpu|mig)?(\d+)(?::\d+)?$", r"\1", name, flags=re.ASCII)


def _visible(runtime: str, environment: Sequence[str]) -> list[str]:
    """The GPUs that a vendor's own runtime gives for its variable; under another runtime it says nothing."""
    variable, prefix = RUNTIMES.get(runtime, ("", ""))
    given = [word.partition("=")[2] for word in environment if variable and word.startswith(f"{variable}=")]
    words = given[-1].split(",") if given else []
    return [by_name(prefix + word) for word in words if word not in ("", "none", "void")]


def held_by(gpu: Gpu, running: Iterable[Holder]) -> str:
    """Who has a GPU, in words; "" where it is free."""
    for holder in running:
        if holder.holds(gpu):
            return f"container {holder.name}"
    if gpu.problem:
        return gpu.problem
    if gpu.mig:
        return "MIG: it is cut into slices"
    if gpu.processes:
        process = gpu.processes[0]
        return f"process {process.pid}" + (f" ({process.name})" if process.name else "")
    used = gpu.used or 0
    return f"{used / 2**30:.1f} GiB in use" if used >= BUSY else ""


def choose(gpus: Sequence[Gpu], wanted: str, running: Iterable[Holder] = ()) -> tuple[Gpu, ...]:
    """The GPUs of `--gpus`: a number takes free ones, a list takes those.

    Raises Refused for a GPU that is not here, is held (naming the holder) or is of another model, and Failed
    where too few are free.
    """
    running = tuple(running)
    indices = _indices(wanted)
    return _named(gpus, indices, running) if indices is not None else _free(gpus, int(wanted), running)


def _indices(wanted: str) -> list[int] | None:
    """`0,2` as a list; a single number is a count, and `0,` names one GPU."""
    words = wanted.split(",")
    if len(words) == 1:
        if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
            raise Refused(
                f"--gpus {wanted}: a number of GPUs or a list is wanted", fix="--gpus 4 or --gpus 0,2"
            )
        return None
    named = [word.strip() for word in words if word.strip()]
    if not named or not all(word.isascii() and word.isdigit() for word in named):
        raise Refused(f"--gpus {wanted}: not a list of GPU numbers", fix="--gpus 0,2; invoke gpus shows them")
    if len(set(map(int, named))) < len(named):
        raise Refused(
            f"--gpus {wanted}: a GPU is named twice", fix=f"--gpus {','.join(dict.fromkeys(named))}"
        )
    return [int(word) for word in named]


def _named(gpus: Sequence[Gpu], indices: Sequence[int], running: tuple[Holder, ...]) -> tuple[Gpu, ...]:
    known = {gpu.index: gpu for gpu in gpus}
    for index in indices:
        if index not in known:
            here = ", ".join(map(str, known)) or "none"
            raise Refused(
                f"there is no GPU {index}", why=f"this host has: {here}", fix="invoke gpus shows them"
            )
        if by := held_by(known[index], running):
            raise Refused(f"GPU {index} is taken", why=by, fix=_other(gpus, len(indices), running))
    chosen = tuple(known[index] for index in indices)
    if len(kinds := {kind(gpu) for gpu in chosen}) > 1:
        names = " and ".join(sorted(name for name, _ in kinds))
        raise Refused(f"the GPUs are of different models: {names}", fix="name GPUs of one model")
    return chosen


def _other(gpus: Sequence[Gpu], count: int, running: tuple[Holder, ...]) -> str:
    free = [gpu for gpu in gpus if not held_by(gpu, running)]
    return f"--gpus {count} takes free ones" if len(free) >= count else "invoke ps, then invoke stop"


def kind(gpu: Gpu) -> tuple[str, int]:
    """Cards of one kind can serve together: the model, cut into as many parts, and its memory in GiB."""
    cut = f" in {gpu.ranks} partitions" if gpu.ranks > 1 else ""
    return f"{gpu.name or gpu.hardware}{cut}", round((gpu.memory or 0) / 2**30)


def _free(gpus: Sequence[Gpu], count: int, running: tuple[Holder, ...]) -> tuple[Gpu, ...]:
    taken = {gpu.index: by for gpu in gpus if (by := held_by(gpu, running))}
    free = [gpu for gpu in gpus if gpu.index not in taken]
    groups: dict[tuple[str, int], list[Gpu]] = {}
    for gpu in free:
        groups.setdefault(kind(gpu), []).append(gpu)
    able = [group for group in groups.values() if len(group) >= count]
    if not able:
        held = "; ".join(f"GPU {index}: {by}" for index, by in taken.items()) or "none is held"
        most = max(map(len, groups.values()), default=0)
        what = f"{count} GPUs are wanted, {most} of one model free of {len(gpus)}"
        raise Failed(what, why=held, fix=f"--gpus {most}" if most else "invoke ps, then invoke stop")
    largest = max(able, key=lambda group: (group[0].memory or 0, -group[0].index))
    return nearest(largest, count)
