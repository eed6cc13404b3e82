"""Choose the GPUs that are closest to each other: joined by NVLink or xGMI, then below one CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from launch.hardware.types import Gpu


def closest_gpus(free: Sequence[Gpu], count: int) -> tuple[Gpu, ...]:
    """Return the closest `count` of equal free GPUs: most links among them, fewest NUMA nodes, least left over.

    Candidates are neighbours in the order of link islands, the largest first, and of NUMA nodes within an island.
    """
    island = islands(free)
    sizes = Counter(island.values())

    def position(gpu: Gpu) -> tuple[int, ...]:
        home = island[gpu.index]
        return -sizes[home], home, -1 if gpu.numa is None else gpu.numa, gpu.index

    ordered = sorted(free, key=position)
    candidates = [ordered[start : start + count] for start in range(len(ordered) - count + 1)]
    best = min(candidates, key=lambda gpus: _distance(gpus, free, island))
    return tuple(sorted(best, key=lambda gpu: gpu.index))


def islands(gpus: Sequence[Gpu]) -> dict[int, int]:
    """Map each index to the lowest index that its links reach, over any number of hops between these GPUs."""
    root = {gpu.index: gpu.index for gpu in gpus}
    changed = True
    while changed:
        changed = False
        for gpu in gpus:
            lowest = min(root[index] for index in (gpu.index, *gpu.links) if index in root)
            changed = changed or lowest < root[gpu.index]
            root[gpu.index] = lowest
    return root


def _distance(gpus: Sequence[Gpu], free: Sequence[Gpu], island: Mapping[int, int]) -> tuple[int, ...]:
    """Return a distance; smaller is better. Its third number keeps whole groups for later launches."""
    indices = {gpu.index for gpu in gpus}
    links = sum(len(indices.intersection(gpu.links)) for gpu in gpus)
    groups = {(island[gpu.index], gpu.numa) for gpu in gpus}
    left_over = sum((island[gpu.index], gpu.numa) in groups for gpu in free) - len(gpus)
    return -links, len({gpu.numa for gpu in gpus}), left_over, min(indices)
