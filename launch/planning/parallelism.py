"""Which layouts of ranks a model can have, and the arithmetic that rules the others out.

TP splits attention and MLPs, PP splits layers, DP repeats the attention, EP spreads whole experts over TP x
DP. The rules are vLLM's own checks, so that a plan fails here and not after 230 GB were loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from packaging.version import Version

from launch.spec.model_config import Shape
from launch.spec.plan import Layout

# From 0.29 a block that does not divide is refined to the greatest common divisor, down to 32 (facts on
# MiniMax-M2).
REFINED_BLOCKS = Version("0.29.0")
SMALLEST_BLOCK = 32
VOCABULARY_PADDING = 64  # vLLM pads the embedding rows to this multiple before it splits them


@dataclass(frozen=True)
class Verdict:
    """`legal` is None where the shape of the model is not known; `reasons` say why it is not legal."""

    layout: Layout
    legal: bool | None
    reasons: tuple[str, ...] = ()


def name(layout: Layout) -> str:
    """TP4, DP8+EP, TP8xPP2."""
    sizes = (("TP", layout.tp), ("PP", layout.pp), ("DP", layout.dp))
    shown = [f"{kind}{size}" for kind, size in sizes if size > 1] or ["TP1"]
    return "x".join(shown) + ("+EP" if layout.ep > 1 else "")


@lru_cache(maxsize=4096)
def verdicts(shape: Shape | None, gpus: int, nodes: int, version: str) -> tuple[Verdict, ...]:
    """Every layout that uses all GPUs of all nodes, judged. `gpus` are those of one node."""
    return tuple(judge(shape, layout, gpus, version) for layout in layouts(gpus * nodes, nodes, shape))


def layouts(total: int, nodes: int, shape: Shape | None) -> Iterator[Layout]:
    """All (TP, PP, DP), with and without EP, whose product is `total`."""
    for tp in _divisors(total):
        for pp in _divisors(total // tp):
            dp = total // tp // pp
            yield Layout(tp, pp, dp, 1, nodes)
            if shape is not None and shape.experts and tp * dp > 1:
                yield Layout(tp, pp, dp, tp * dp, nodes)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


@lru_cache(maxsize=4096)
def judge(shape: Shape | None, layout: Layout, gpus: int, version: str) -> Verdict:
    """One layout on nodes of `gpus` GPUs. An empty version means every version that knows the model."""
    reasons = list(_room(layout, gpus))
    if shape is not None:
        reasons += _model_rules(shape, layout, version)
    if reasons:
        return Verdict(layout, False, tuple(reasons))
    known = shape is not None and shape.heads is not None and (not shape.experts or shape.expert_intermediate)
    return Verdict(layout, True if known else None)


def context_parallel(tp: int, dcp: int) -> tuple[str, ...]:
    """Decode context parallelism reuses the TP ranks, so it divides them (vllm/config/parallel.py)."""
    uneven = f"TP{tp} / decode context parallel {dcp} = {tp / dcp:g}, not a whole number"
    return (uneven,) if tp % dcp else ()


def _room(layout: Layout, gpus: int) -> Iterator[str]:
    """GPUs used against GPUs there. No limit is written as 0."""
    there = gpus * layout.nodes
    if gpus and layout.gpus > there:
        factors = f"TP{layout.tp} x PP{layout.pp} x DP{layout.dp}"
        yield f"{factors} = {layout.gpus} GPUs, but {layout.nodes} node(s) of {gpus} have {there}"
    replica = layout.tp * layout.pp
    if gpus and layout.dp > 1 and replica > gpus:
        yield f"a replica of {layout.tp} x {layout.pp} = {replica} GPUs must fit a node of {gpus} under DP"


def _model_rules(shape: Shape, layout: Layout, version: str) -> Iterator[str]:
    yield from _attention(shape, layout.tp)
    yield from _vocabulary(shape, layout.tp)
    if shape.layers is not None and layout.pp > shape.layers:
        yield f"PP{layout.pp}: {shape.layers} layers cannot make {layout.pp} stages"
    if shape.experts:
        yield from _experts(shape, layout, version)
    if shape.dense_intermediate and (not shape.experts or shape.dense_layers):
        yield from _split(
            "MLP intermediate", shape.dense_intermediate, layout.tp, f"TP{layout.tp}", shape, version
        )
    if shape.expert_intermediate and shape.shared_experts:
        width = shape.expert_intermediate * shape.shared_experts
        yield from _split("shared expert intermediate", width, layout.tp, f"TP{layout.tp}", shape, version)


def _attention(shape: Shape, tp: int) -> Iterator[str]:
    if shape.heads and shape.heads % tp:
        yield f"TP{tp}: {shape.heads} attention heads / {tp} = {shape.heads / tp:g}, not a whole number"
    kv = shape.kv_heads
    if kv and not shape.is_mla and (kv % tp if kv >= tp else tp % kv):
        how = (
            f"{kv} KV heads / {tp} = {kv / tp:g}"
            if kv >= tp
            else f"{tp} / {kv} KV heads = {tp / kv:g} copies"
        )
        yield f"TP{tp}: {how}, not a whole number"


def _vocabulary(shape: Shape, tp: int) -> Iterator[str]:
    if shape.vocabulary:
        padded = -(-shape.vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING
        if padded % tp:
            yield f"TP{tp}: {padded} rows of padded vocabulary / {tp} = {padded / tp:.1f}, not a whole number"


def _experts(shape: Shape, layout: Layout, version: str) -> Iterator[str]:
    """Without EP every expert is cut over TP x DP; with EP experts stay whole and are dealt out."""
    if layout.ep > 1:
        if layout.ep > shape.experts:
            idle = layout.ep - shape.experts
            yield f"EP{layout.ep}: {shape.experts} experts leave {idle} ranks without one"
    elif shape.expert_intermediate:
        cuts = layout.tp * layout.dp
        cut = f"TP{layout.tp}" if layout.dp == 1 else f"TP{layout.tp} x DP{layout.dp} without EP"
        yield from _split("expert intermediate", shape.expert_intermediate, cuts, cut, shape, version)


def _split(what: str, width: int, cuts: int, cut: str, shape: Shape, version: str) -> Iterator[str]:
    """A matrix of `width` over `cuts` ranks: whole columns, and whole quantization blocks of them."""
    if width % cuts:
        yield f"{cut}: {what} {width}/{cuts} = {width / cuts:g}, not a whole number"
        return
    part, block = width // cuts, shape.block
    if cuts == 1 or not block or part % block == 0:
        return
    sum_ = f"{cut}: {what} {width}/{cuts} = {part} is not divisible by the {shape.precision} block of {block}"
    if not _refines(shape, version):
        yield sum_ + _since(shape, part, block, version)
    elif gcd(part, block) < SMALLEST_BLOCK:
        yield f"{sum_}, and gcd({part}, {block}) = {gcd(part, block)} is below {SMALLEST_BLOCK}"


def refined(shape: Shape, layout: Layout) -> str:
    """A remark on a layout that is legal only because experts' blocks are refined; "" on any other."""
    width, block, cuts = shape.expert_intermediate, shape.block, layout.tp * layout.dp
    if layout.ep > 1 or not width or not block or width // cuts % block == 0:
        return ""
    smaller = gcd(width // cuts, block)
    kernels = "for which vLLM has Triton MoE kernels only"
    return f"{name(layout)}: blocks of {block} are refined to {smaller}, {kernels}"


def _refines(shape: Shape, version: str) -> bool:
    return shape.precision == "fp8" and bool(version) and Version(version) >= REFINED_BLOCKS


def _since(shape: Shape, part: int, block: int, version: str) -> str:
    """When it becomes legal, if it does."""
    if shape.precision != "fp8" or gcd(part, block) < SMALLEST_BLOCK:
        return ""
    return f" (vLLM {version}; legal from 0.29)" if version else " (up to vLLM 0.28)"
