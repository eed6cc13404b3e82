"""Choose the GPUs for a launch: free ones, close to each other, and none that another container or process uses.

The state is what runs: the engine's containers and the memory in use. `reservation.py` checks it again, under a lock of
the host, before the container starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from errors import Failed, Refused
from launch.allocation.holders import Holder
from launch.allocation.topology import closest_gpus
from launch.hardware.types import Gpu

# From this many bytes in use on, a GPU counts as taken. An idle driver uses less: 297,611,264 on an MI300X
# (rocm-smi --showmeminfo vram, published); NVML reports the driver's reserve separately.
BUSY = 1 << 30


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
                fix="--gpus 4, or --gpus 0,2",
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
        raise Refused(f"the GPUs are of different models: {names}", fix="invoke gpus")
    return chosen


def _other(gpus: Sequence[Gpu], count: int, running: tuple[Holder, ...]) -> str:
    free = [gpu for gpu in gpus if not held_by(gpu, running)]
    return f"--gpus {count} takes free ones" if len(free) >= count else "invoke ps"


def kind(gpu: Gpu) -> tuple[str, int]:
    """Return the model with its number of partitions, and the memory in GiB: equal cards can serve together."""
    partitions = f" in {gpu.ranks} partitions" if gpu.ranks > 1 else ""
    return f"{gpu.name or gpu.hardware}{partitions}", round((gpu.memory or 0) / 2**30)


def most_of_one_kind(gpus: Iterable[Gpu]) -> int:
    """Return how many cards of the most frequent kind can be used, free or not."""
    kinds = [kind(gpu) for gpu in gpus if not (gpu.problem or gpu.mig)]
    return max(map(kinds.count, kinds), default=0)


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
        raise Failed(what, why=why, fix=f"--gpus {most}" if most else "invoke ps")
    best = max(large_enough, key=lambda group: (group[0].memory or 0, -group[0].index))
    return closest_gpus(best, count)
