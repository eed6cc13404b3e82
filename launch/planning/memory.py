"""Does it fit: weights, overhead and KV cache of one GPU, as arithmetic over the shape of a model.

Three answers: `fits`, `does not fit`, `unknown` (a number is missing, or the estimate is too close to call).
GiB are 2**30 bytes. An earlier start on this host corrects the estimate: vLLM prints its "GPU KV cache size".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from launch.data_file import load
from launch.spec.inputs import Measured
from launch.spec.model_config import BYTES, Shape
from launch.spec.plan import Fit, Layout

GIB = 2**30


@dataclass(frozen=True)
class Constants:
    """Rows of memory.yaml."""

    utilization: float
    fixed_gib: float
    share: float
    tolerance: float
    cpu_kv_gib: float


@cache
def constants() -> Constants:
    """What cannot be computed, with sources in memory.yaml."""
    return load(Path(__file__).with_suffix(".yaml"), Constants)


@dataclass(frozen=True)
class Demand:
    """What is asked of each GPU. `context` is the one to serve, in tokens.

    `kv_gib` is a fixed KV space (CPU); None takes what the GPU has left.
    """

    layout: Layout
    vram_gib: float
    utilization: float
    context: int | None
    longest: int | None = None  # the model's own context, which no memory makes longer
    kv_dtype: str = "auto"
    kv_gib: float | None = None


def fit(shape: Shape | None, demand: Demand, measured: Measured | None = None) -> Fit:
    """The verdict. Raises nothing: what is not known makes it `unknown`."""
    weights = weights_gib(shape, demand.layout) if shape else None
    per_token = kv_bytes_per_token(shape, demand.layout, demand.kv_dtype) if shape else None
    if shape is None or weights is None or not per_token:
        return Fit(detail="the shape of the model is not known here (no config.json in the HF cache)")
    room = _kv_gib(demand, weights)
    tokens = _tokens(shape, demand, room, per_token)
    if measured and tokens > 0:
        tokens = _corrected(shape, demand, tokens, measured)
    return _verdict(demand, weights, room, tokens, measured)


def _verdict(demand: Demand, weights: float, room: float, tokens: int, measured: Measured | None) -> Fit:
    used = weights + max(room, 0.0) if demand.kv_gib is not None else demand.vram_gib * demand.utilization
    result = Fit(
        verdict="fits",
        kv_tokens=tokens * demand.layout.dp,
        kv_tokens_per_replica=tokens,
        max_model_len=min(tokens, demand.longest) if demand.longest else tokens,
        per_gpu_gib=round(used, 1),
        detail=f"{weights:.1f} GiB weights and {max(room, 0):.1f} GiB KV cache on each"
        + (", corrected by an earlier start here" if measured else ""),
    )
    if tokens <= 0:
        over = f"{weights:.1f} GiB of weights on each, of {demand.vram_gib:g} GiB"
        return replace(
            result, verdict="does not fit", kv_tokens=0, kv_tokens_per_replica=0, max_model_len=0, detail=over
        )
    slack = 1.0 if measured else 1.0 + constants().tolerance
    if demand.context and demand.context > tokens:
        return replace(result, verdict="does not fit" if demand.context > tokens * slack else "unknown")
    return result


def _kv_gib(demand: Demand, weights: float) -> float:
    """GiB left for the KV cache on each GPU."""
    if demand.kv_gib is not None:
        return demand.kv_gib
    left = demand.vram_gib * demand.utilization - weights - constants().fixed_gib
    return left * (1 - constants().share)


def _tokens(shape: Shape, demand: Demand, room: float, per_token: float) -> int:
    """Tokens of one replica; layers with a sliding window hold at most the window."""
    if shape.window and shape.window_layers and shape.layers and shape.window_layers < shape.layers:
        return int((room * GIB - _window_bytes(shape, demand)) / per_token)
    return int(room * GIB / per_token)


def _window_bytes(shape: Shape, demand: Demand) -> float:
    whole = replace(shape, window=None, window_layers=0, linear_layers=0)
    per_layer = (kv_bytes_per_token(whole, demand.layout, demand.kv_dtype) or 0) / (shape.layers or 1)
    return per_layer * shape.window_layers * (shape.window or 0)


def _corrected(shape: Shape, demand: Demand, tokens: int, measured: Measured) -> int:
    """The estimate times what the estimate of the measured layout was off by."""
    if measured.layout == demand.layout and measured.kv_dtype == demand.kv_dtype:
        return measured.kv_tokens
    then = replace(demand, layout=measured.layout, kv_dtype=measured.kv_dtype)
    estimate = fit(shape, then).kv_tokens_per_replica
    return int(tokens * measured.kv_tokens / estimate) if estimate else tokens


def weights_gib(shape: Shape, layout: Layout) -> float | None:
    """Weights on one GPU: experts over TP x DP (with EP or cut), the rest over TP and repeated by DP."""
    parts = weight_parts(shape)
    if parts is None:
        return None
    dense, experts = parts
    return (dense / layout.tp + experts / (layout.tp * layout.dp)) / layout.pp / GIB


def weight_parts(shape: Shape) -> tuple[float, float] | None:
    """Bytes of everything but routed experts, and of those; measured where the snapshot gives them."""
    experts = float(shape.expert_bytes) if shape.expert_bytes is not None else _expert_bytes(shape)
    if experts is None:
        return None
    if shape.weight_bytes is not None:
        return max(shape.weight_bytes - experts, 0.0), experts
    dense = _dense_bytes(shape)
    return None if dense is None else (dense, experts)


def _width(shape: Shape) -> float | None:
    """Bytes of one quantized weight."""
    return BYTES.get(shape.precision or shape.dtype)


def _expert_bytes(shape: Shape) -> float | None:
    if not shape.experts:
        return 0.0
    width = _width(shape)
    if not (shape.layers and shape.hidden and shape.expert_intermediate and width):
        return None
    return (
        (shape.layers - shape.dense_layers)
        * shape.experts
        * 3
        * shape.hidden
        * shape.expert_intermediate
        * width
    )


def _dense_bytes(shape: Shape) -> float | None:
    """Everything but routed experts in a GQA model; MLA needs measured weights."""
    width, plain = _width(shape), BYTES.get(shape.dtype)
    if shape.is_mla or not width or not plain:
        return None
    if not (
        shape.layers
        and shape.hidden
        and shape.heads
        and shape.kv_heads
        and shape.head_dim
        and shape.vocabulary
    ):
        return None
    attention = shape.hidden * shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads)
    embeddings = shape.vocabulary * shape.hidden * (1 if shape.tied_embeddings else 2) * plain
    router = shape.layers * shape.hidden * shape.experts * BYTES["float32"]
    return (shape.layers * attention + _mlp(shape)) * width + router + embeddings


def _mlp(shape: Shape) -> int:
    """Weights of the MLPs that every token passes."""
    hidden, layers = shape.hidden or 0, shape.layers or 0
    dense_layers = shape.dense_layers if shape.experts else layers
    shared = shape.shared_experts * (shape.expert_intermediate or 0) * (layers - dense_layers)
    return 3 * hidden * ((shape.dense_intermediate or 0) * dense_layers + shared)


def kv_bytes_per_token(shape: Shape, layout: Layout, kv_dtype: str = "auto") -> float | None:
    """KV bytes of a token on one GPU: fewer heads than TP are repeated, an MLA vector is not split."""
    width = 1.0 if kv_dtype.startswith("fp8") else BYTES.get(shape.dtype)
    if not shape.layers or not width:
        return None
    full = shape.layers - (shape.window_layers if shape.window else 0) - shape.linear_layers
    layers = (full if full > 0 else shape.layers) / layout.pp
    if shape.mla_rank is not None:
        return layers * (shape.mla_rank + shape.mla_rope) * width
    if not shape.kv_heads or not shape.head_dim:
        return None
    return layers * 2 * max(1.0, shape.kv_heads / layout.tp) * shape.head_dim * width
