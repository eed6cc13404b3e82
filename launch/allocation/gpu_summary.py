"""The GPUs of a container in a few words: `0-7 (8 x MI300X)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from launch.allocation.holders import GpuSet
from launch.hardware.types import Gpu


def gpu_summary(label: str, gpus: Sequence[Gpu]) -> str:
    """Return the GPUs in a container's label as text: `0-3 (4 x MI300X)`; a count if they are not on this host."""
    labelled = GpuSet.of(label.split(","))
    if not labelled:
        return ""
    included = [gpu for gpu in gpus if labelled.includes(gpu)]
    if not included:
        return f"{len(labelled.names) + len(labelled.nvidia_indices)} unknown"
    models = Counter((gpu.hardware or gpu.arch or gpu.name).upper() for gpu in included)
    counts = ", ".join(f"{count} x {model}" for model, count in models.items())
    return f"{_ranges([gpu.index for gpu in included])} ({counts})"


def _ranges(indices: Sequence[int]) -> str:
    """Return `0-3,6` for 0, 1, 2, 3, 6."""
    ordered = sorted(indices)
    starts = [n for n in ordered if n - 1 not in ordered]
    ends = [n for n in ordered if n + 1 not in ordered]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
