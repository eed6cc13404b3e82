"""Which of the free GPUs stand closest together: over NVLink or xGMI, then below one CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from launch.hardware.types import Gpu


def nearest(free: Sequence[Gpu], count: int) -> tuple[Gpu, ...]:
    """The closest `count` of equal free GPUs: most links among them, fewest NUMA nodes, least left over.

    Candidates are the runs of GPUs by link island, the largest first, and by NUMA node within it.
    """
    island = islands(free)
    sizes = Counter(island.values())

    def place(gpu: Gpu) -> tuple[int, ...]:
        home = island[gpu.index]
        return -sizes[home], home, -1 if gpu.numa is None else gpu.numa, gpu.index

    ordered = sorted(free, key=place)
    runs = [ordered[start : start + count] for start in range(len(ordered) - count + 1)]
    best = min(runs, key=lambda run: _distance(run, free, island))
    return tuple(sorted(best, key=lambda gpu: gpu.index))


def islands(gpus: Sequence[Gpu]) -> dict[int, int]:
    """For each index the lowest index that links lead to, over any number of hops between these GPUs."""
    root = {gpu.index: gpu.index for gpu in gpus}
    changed = True
    while changed:
        changed = False
        for gpu in gpus:
            lowest = min(root[index] for index in (gpu.index, *gpu.links) if index in root)
            changed = changed or lowest < root[gpu.index]
            root[gpu.index] = lowest
    return root


def _distance(run: Sequence[Gpu], free: Sequence[Gpu], island: Mapping[int, int]) -> tuple[int, ...]:
    """Smaller is better. The third figure keeps whole groups for those who will want them."""
    inside = {gpu.index for gpu in run}
    links = sum(len(inside.intersection(gpu.links)) for gpu in run)
    places = {(island[gpu.index], gpu.numa) for gpu in run}
    left = sum((island[gpu.index], gpu.numa) in places for gpu in free) - len(run)
    return -links, len({gpu.numa for gpu in run}), left, min(inside)
