"""The GPUs of a container in a few words: `0-7 (8 x MI300X)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from launch.allocation.gpus import Holder, by_name
from launch.hardware.types import Gpu


def gpu_summary(label: str, gpus: Sequence[Gpu]) -> str:
    """The GPUs that the label of a container names, by their indices on this host.

    Only their number is known if the host no longer has them.
    """
    names = tuple(filter(None, map(by_name, label.split(","))))
    held = [gpu for gpu in gpus if Holder("", names).holds(gpu)]
    if not held:
        return f"{len(names)} unknown" if names else ""
    kinds = Counter((gpu.hardware or gpu.arch or gpu.name or gpu.vendor).upper() for gpu in held)
    return (
        f"{_ranges([gpu.index for gpu in held])} ({', '.join(f'{n} x {kind}' for kind, n in kinds.items())})"
    )


def _ranges(indices: Sequence[int]) -> str:
    """`0-3,6` for 0, 1, 2, 3, 6."""
    ordered = sorted(indices)
    starts = [index for index in ordered if index - 1 not in ordered]
    ends = [index for index in ordered if index + 1 not in ordered]
    pairs = zip(starts, ends, strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)
