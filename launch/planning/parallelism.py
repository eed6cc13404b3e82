"""Check which TP/PP/DP/EP combinations are valid for a model, and explain why others are not.

TP splits attention and MLPs, PP splits layers, DP replicates the attention, EP distributes whole experts over
TP x DP ranks. The rules are vLLM's own checks, so that a plan fails here and not after 230 GB were loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd

from packaging.version import Version

from launch.planning.attention_split import attention_faults
from launch.plural import count
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout

# From 0.29 a block that does not divide evenly is refined to the greatest common divisor, down to 32 (facts on
# MiniMax-M2).
REFINED_BLOCKS = Version("0.29.0")
SMALLEST_BLOCK = 32
REPLICA_SPANS_NODES = Version("0.29.0")  # nnodes_within_dp in vllm/config/parallel.py
VOCABULARY_PADDING = 64  # vLLM pads the embedding rows to a multiple of this before it splits them


@dataclass(frozen=True)
class LayoutCheck:
    """`valid` is None if the shape of the model is not known. `reasons` say why a layout is not valid."""

    layout: Layout
    valid: bool | None
    reasons: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def check_all(shape: ModelShape | None, gpus: int, nodes: int, version: str) -> tuple[LayoutCheck, ...]:
    """Check every layout that uses all GPUs of all nodes. `gpus` is the number on one node."""
    return tuple(check(shape, layout, gpus, version) for layout in layouts(gpus * nodes, nodes, shape))


def layouts(total: int, nodes: int, shape: ModelShape | None) -> Iterator[Layout]:
    """Yield all (TP, PP, DP) whose product is `total`, with and without EP."""
    for tp in _divisors(total):
        for pp in _divisors(total // tp):
            dp = total // tp // pp
            yield Layout(tp, pp, dp, 1, nodes)
            if shape is not None and shape.experts and tp * dp > 1:
                yield Layout(tp, pp, dp, tp * dp, nodes)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


@lru_cache(maxsize=4096)
def check(shape: ModelShape | None, layout: Layout, gpus: int, version: str) -> LayoutCheck:
    """Check one layout on nodes of `gpus` GPUs. Version "": any version that knows the model."""
    reasons = list(_gpu_faults(layout, gpus, version))
    if shape is not None:
        reasons += _model_faults(shape, layout, version)
    if reasons:
        return LayoutCheck(layout, False, tuple(reasons))
    known = shape is not None and shape.heads is not None and (not shape.experts or shape.expert_intermediate)
    return LayoutCheck(layout, True if known else None)


def context_parallel_faults(tp: int, dcp: int) -> tuple[str, ...]:
    """Decode context parallelism reuses the TP ranks, so it must divide them (vllm/config/parallel.py)."""
    uneven = f"TP{tp} / decode context parallel {dcp} = {tp / dcp:g}, not a whole number"
    return (uneven,) if tp % dcp else ()


def _gpu_faults(layout: Layout, gpus: int, version: str) -> Iterator[str]:
    """Compare the GPUs that a layout uses with those there are. `gpus` 0 means no limit."""
    available = gpus * layout.nodes
    if gpus and layout.gpus > available:
        factors = f"TP{layout.tp} x PP{layout.pp} x DP{layout.dp}"
        yield f"{factors} = {layout.gpus} GPUs, but {count(layout.nodes, 'node')} of {gpus} have {available}"
    replica = layout.tp * layout.pp
    if not gpus or layout.dp == 1 or replica <= gpus:
        return
    size = f"a replica of {layout.tp} x {layout.pp} = {replica} GPUs"
    if version and Version(version) < REPLICA_SPANS_NODES:
        yield f"{size} must fit a node of {gpus} under DP (vLLM 0.11 to 0.28)"
    elif replica % gpus:
        yield f"{size} under DP must fill whole nodes of {gpus}"


def _model_faults(shape: ModelShape, layout: Layout, version: str) -> Iterator[str]:
    tp = f"TP{layout.tp}"
    yield from attention_faults(shape, layout.tp)
    yield from _vocabulary_faults(shape, layout.tp)
    if shape.layers is not None and layout.pp > shape.layers:
        yield f"PP{layout.pp}: {shape.layers} layers cannot make {layout.pp} stages"
    if shape.experts:
        yield from _expert_faults(shape, layout, version)
    if shape.dense_intermediate and (not shape.experts or shape.dense_layers):
        dense = _unquantized(shape, "dense")
        yield from _split_faults("MLP intermediate", shape.dense_intermediate, layout.tp, tp, dense, version)
    width = shape.shared_intermediate or (shape.expert_intermediate or 0) * shape.shared_experts
    if width:
        shared = _unquantized(shape, "shared")
        yield from _split_faults("shared expert intermediate", width, layout.tp, tp, shared, version)


def _unquantized(shape: ModelShape, part: str) -> ModelShape:
    """Return the shape without quantization blocks if the checkpoint does not quantize this part."""
    return replace(shape, block=None) if part in shape.plain else shape


def _vocabulary_faults(shape: ModelShape, tp: int) -> Iterator[str]:
    if shape.vocabulary:
        padded = -(-shape.vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING
        if padded % tp:
            yield f"TP{tp}: {padded} rows of padded vocabulary / {tp} = {padded / tp:.1f}, not a whole number"


def _expert_faults(shape: ModelShape, layout: Layout, version: str) -> Iterator[str]:
    """Without EP every expert is split over TP x DP ranks; with EP whole experts are distributed."""
    if layout.ep > 1:
        if layout.ep > shape.experts:
            yield f"EP{layout.ep}: {shape.experts} experts leave {layout.ep - shape.experts} ranks without one"
    elif shape.expert_intermediate:
        parts = layout.tp * layout.dp
        split = f"TP{layout.tp}" if layout.dp == 1 else f"TP{layout.tp} x DP{layout.dp} without EP"
        blocks = replace(shape, block=None) if shape.expert_precision else shape
        yield from _split_faults(
            "expert intermediate", shape.expert_intermediate, parts, split, blocks, version
        )


def _split_faults(
    matrix: str, width: int, parts: int, split: str, shape: ModelShape, version: str
) -> Iterator[str]:
    """Check a matrix of `width` columns on `parts` ranks: whole columns in whole quantization blocks."""
    if width % parts:
        yield f"{split}: {matrix} {width}/{parts} = {width / parts:g}, not a whole number"
        return
    part, block = width // parts, shape.block
    if parts == 1 or not block or part % block == 0:
        return
    division = f"{split}: {matrix} {width}/{parts} = {part}"
    uneven = f"{division} is not divisible by the {shape.precision} block of {block}"
    if not _refines(shape, version):
        yield uneven + _valid_from(shape, part, block, version)
    elif gcd(part, block) < SMALLEST_BLOCK:
        yield f"{uneven}, and gcd({part}, {block}) = {gcd(part, block)} is below {SMALLEST_BLOCK}"


def refinement_note(shape: ModelShape, layout: Layout) -> str:
    """Return a note on a layout that is valid only because vLLM refines the experts' blocks, else ""."""
    width, block, parts = shape.expert_intermediate, shape.block, layout.tp * layout.dp
    if layout.ep > 1 or not width or not block or width // parts % block == 0:
        return ""
    smaller = gcd(width // parts, block)
    kernels = "for which vLLM has Triton MoE kernels only"
    return f"{layout.name}: blocks of {block} are refined to {smaller}, {kernels}"


def _refines(shape: ModelShape, version: str) -> bool:
    return shape.precision == "fp8" and bool(version) and Version(version) >= REFINED_BLOCKS


def _valid_from(shape: ModelShape, part: int, block: int, version: str) -> str:
    """Return in which version the split becomes valid, if in any."""
    if shape.precision != "fp8" or gcd(part, block) < SMALLEST_BLOCK:
        return ""
    return f" (vLLM {version}; valid from 0.29)" if version else " (up to vLLM 0.28)"
