"""Estimate whether a model fits: weights, overhead and KV cache of one GPU, computed from the model's shape.

The result is `fits`, `does not fit` or `unknown` (a number is missing, or the estimate is too close to decide). GiB
are 2**30 bytes. The "GPU KV cache size" that vLLM printed at an earlier start on this host corrects the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from packaging.version import Version

from launch.data_file import load
from launch.spec.inputs import KvMeasurement
from launch.spec.model_config import BYTES, ModelShape
from launch.spec.plan import Fit, Layout

GIB = 2**30


@dataclass(frozen=True)
class Constants:
    """The rows of memory.yaml, which gives their sources."""

    utilization: float
    older_utilization: float
    utilization_since: str
    fixed_gib: float
    share: float
    tolerance: float
    cpu_kv_gib: float
    cpu_server_gib: float
    cpu_block: int

    def default_utilization(self, version: str) -> float:
        """Return the share that this vLLM uses by default; "" is the newest."""
        older = version and Version(version) < Version(self.utilization_since)
        return self.older_utilization if older else self.utilization


@cache
def constants() -> Constants:
    """Return the values that cannot be computed."""
    return load(Path(__file__).with_suffix(".yaml"), Constants)


@dataclass(frozen=True)
class Demand:
    """What the options ask of each GPU. `context` is the context to serve, in tokens.

    `kv_gib` is a fixed KV space (CPU). None: the memory that the weights leave on the GPU.
    """

    layout: Layout
    vram_gib: float
    utilization: float
    context: int | None
    longest: int | None = None  # the model's own context, which more memory does not extend
    kv_dtype: str = "auto"
    kv_gib: float | None = None
    block: int = 1  # tokens of a KV block, of which vLLM allocates whole ones


def fit(shape: ModelShape | None, demand: Demand, measured: KvMeasurement | None = None) -> Fit:
    """Return the estimate. If a number is not known, its result is `unknown`."""
    weights = weights_gib(shape, demand.layout) if shape else None
    per_token = kv_bytes_per_token(shape, demand.layout, demand.kv_dtype) if shape else None
    if shape is None or weights is None or not per_token:
        return Fit(detail="the shape of the model is not known here (no config.json in the HF cache)")
    kv_gib = _kv_gib(demand, weights)
    if demand.kv_gib and demand.vram_gib and weights + kv_gib + constants().fixed_gib > demand.vram_gib:
        kv_gib = 0.0  # on a GPU, a KV cache of a set size must fit together with the weights
    tokens = _tokens(shape, demand, kv_gib, per_token) // demand.block * demand.block
    if measured and tokens > 0:
        tokens = _corrected(shape, demand, tokens, measured)
    return _fit(demand, weights, kv_gib, tokens, measured)


def _fit(demand: Demand, weights: float, kv_gib: float, tokens: int, measured: KvMeasurement | None) -> Fit:
    used = weights + max(kv_gib, 0.0) if demand.kv_gib is not None else demand.vram_gib * demand.utilization
    estimate = Fit(
        result="fits",
        kv_tokens=tokens * demand.layout.dp,
        kv_tokens_per_replica=tokens,
        max_model_len=min(tokens, demand.longest) if demand.longest else tokens,
        per_gpu_gib=round(used, 1),
        detail=f"{weights:.1f} GiB weights and {max(kv_gib, 0):.1f} GiB KV cache on each rank"
        + (", corrected by an earlier start on this host" if measured else ""),
    )
    if tokens <= 0:
        over = f"{weights:.1f} GiB of weights for each rank, which has {demand.vram_gib:g} GiB"
        return Fit("does not fit", 0, 0, 0, estimate.per_gpu_gib, over)
    known = measured or demand.kv_gib is not None  # a cache of a set size has exactly these tokens
    slack = 1.0 if known else 1.0 + constants().tolerance
    if demand.context and demand.context > tokens:
        too_long = demand.context > tokens * slack
        return replace(estimate, result="does not fit" if too_long else "unknown")
    return estimate


def _kv_gib(demand: Demand, weights: float) -> float:
    """Return the GiB that are left for the KV cache on each GPU."""
    if demand.kv_gib is not None:
        return demand.kv_gib
    left = demand.vram_gib * demand.utilization - weights - constants().fixed_gib
    return left * (1 - constants().share)


def _tokens(shape: ModelShape, demand: Demand, kv_gib: float, per_token: float) -> int:
    """Return the tokens of one replica. A layer with a sliding window keeps at most the window."""
    if shape.window and shape.window_layers and shape.layers and shape.window_layers < shape.layers:
        return int((kv_gib * GIB - _window_bytes(shape, demand)) / per_token)
    return int(kv_gib * GIB / per_token)


def _window_bytes(shape: ModelShape, demand: Demand) -> float:
    whole = replace(shape, window=None, window_layers=0, linear_layers=0)
    per_layer = (kv_bytes_per_token(whole, demand.layout, demand.kv_dtype) or 0) / (shape.layers or 1)
    return per_layer * shape.window_layers * (shape.window or 0)


def _corrected(shape: ModelShape, demand: Demand, tokens: int, measured: KvMeasurement) -> int:
    """Return the estimate times the error of the estimate for the measured layout."""
    earlier = replace(demand, layout=measured.layout, kv_dtype=measured.kv_dtype)
    utilization = measured.utilization or constants().utilization
    earlier = replace(earlier, utilization=utilization, kv_gib=measured.kv_gib)
    if earlier == demand:
        return measured.kv_tokens
    estimate = fit(shape, earlier).kv_tokens_per_replica
    return int(tokens * measured.kv_tokens / estimate) if estimate else tokens


def weights_gib(shape: ModelShape, layout: Layout) -> float | None:
    """Return the weights on one GPU: experts divided by TP x DP, the rest by TP; DP replicates the rest."""
    if shape.weight_bytes is not None and layout.dp == 1:
        return shape.weight_bytes / layout.tp / layout.pp / GIB
    parts = weight_parts(shape)
    if parts is None:
        return None
    dense, experts = parts
    return (dense / layout.tp + experts / (layout.tp * layout.dp)) / layout.pp / GIB


def weight_parts(shape: ModelShape) -> tuple[float, float] | None:
    """Return the bytes without and of the routed experts, from the snapshot if it gives them, else computed."""
    experts = float(shape.expert_bytes) if shape.expert_bytes is not None else _expert_bytes(shape)
    if experts is None:
        return None
    if shape.weight_bytes is not None:
        experts = min(experts, float(shape.weight_bytes))  # computed ones can exceed what is there
        return shape.weight_bytes - experts, experts
    dense = _dense_bytes(shape)
    return None if dense is None else (dense, experts)


def _width(shape: ModelShape) -> float | None:
    """Return the bytes of one quantized weight."""
    return BYTES.get(shape.precision or shape.dtype)


def _expert_bytes(shape: ModelShape) -> float | None:
    if not shape.experts:
        return 0.0
    width = _width(shape)
    if not (shape.layers and shape.hidden and shape.expert_intermediate and width):
        return None
    experts = (shape.layers - shape.dense_layers) * shape.experts
    return experts * 3 * shape.hidden * shape.expert_intermediate * width


def _dense_bytes(shape: ModelShape) -> float | None:
    """Return the bytes of all but the routed experts in a GQA model; those of an MLA model must be measured."""
    width, plain = _width(shape), BYTES.get(shape.dtype)
    layers, hidden, heads, kv_heads = shape.layers, shape.hidden, shape.heads, shape.kv_heads
    if shape.is_mla or not width or not plain:
        return None
    if not (layers and hidden and heads and kv_heads and shape.head_dim and shape.vocabulary):
        return None
    attention = hidden * shape.head_dim * (2 * heads + 2 * kv_heads)
    embeddings = shape.vocabulary * hidden * (1 if shape.tied_embeddings else 2) * plain
    router = layers * hidden * shape.experts * BYTES["float32"]
    return (layers * attention + _mlp(shape)) * width + router + embeddings


def _mlp(shape: ModelShape) -> int:
    """Return the number of weights in the MLPs that every token uses."""
    hidden, layers = shape.hidden or 0, shape.layers or 0
    dense_layers = shape.dense_layers if shape.experts else layers
    shared = shape.shared_experts * (shape.expert_intermediate or 0) * (layers - dense_layers)
    return 3 * hidden * ((shape.dense_intermediate or 0) * dense_layers + shared)


def kv_bytes_per_token(shape: ModelShape, layout: Layout, kv_dtype: str = "auto") -> float | None:
    """Return the KV bytes of a token on one GPU. Fewer heads than TP are copied; an MLA vector is not split."""
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
