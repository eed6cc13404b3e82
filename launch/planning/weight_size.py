"""The bytes of a model's weights on one rank: read from the checkpoint if it is there, else computed by parts.

Routed experts are divided by TP x DP, everything else by TP; PP divides both. GiB are 2**30 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from launch.spec.model_config import BYTES, ModelShape
from launch.spec.plan import Layout

GIB = 2**30
ROUTED, SHARED, DENSE, ATTENTION, STATE, REST = "experts", "shared", "dense", "attention", "state", "rest"
# MXFP4 experts are loaded with an intermediate size that is a multiple of the first number on each rank
# (oracle/mxfp4.py in vllm/model_executor/layers/fused_moe, 0.32.0), and a hidden size that is a multiple of the second.
# The kernel decides: the first pair agrees with starts of gpt-oss that printed 64.38 and 13.47 GiB, the second with
# starts that printed 65.97 (vllm#23278, Marlin) and 13.72 GiB. Nothing tells which kernel a server takes, so the
# larger one counts.
MXFP4_TILES = ((256, 1), (128, 256))


@dataclass(frozen=True)
class WeightBytes:
    """Bytes on all ranks: without the routed experts, of the routed experts, and of the draft model (MTP)."""

    dense: float
    experts: float
    draft: float = 0.0


def weights_gib(shape: ModelShape, layout: Layout, draft: bool = False) -> float | None:
    """Return the weights on one GPU; None if they are not known. `draft`: with the checkpoint's own draft model."""
    sizes = weight_bytes(shape)
    if sizes is None:
        return _measured_total(shape, layout)
    dense = sizes.dense + (sizes.draft if draft else 0.0)
    return (
        (dense / layout.tp + padded(shape, layout, sizes.experts) / (layout.tp * layout.dp)) / layout.pp / GIB
    )


def _measured_total(shape: ModelShape, layout: Layout) -> float | None:
    """Return the share of a total whose parts are not known, which is enough without DP."""
    if shape.weight_bytes is None or (layout.dp > 1 and shape.experts):
        return None
    return shape.weight_bytes / layout.tp / layout.pp / GIB


def weight_bytes(shape: ModelShape) -> WeightBytes | None:
    """Return the bytes of the parts: from the snapshot if it gives them, else computed. None: not known.

    Computed experts are at most the measured total. The total of a checkpoint contains its draft model.
    """
    parts = elements(shape)
    experts = float(shape.expert_bytes) if shape.expert_bytes is not None else _bytes(shape, parts, (ROUTED,))
    total = shape.weight_bytes
    if total is not None and (experts is not None or not shape.experts):
        experts = min(experts or 0.0, float(total))
        draft = min(_draft_bytes(shape, parts) or 0.0, total - experts)
        if shape.expert_bytes is not None or not shape.experts:
            routed = draft * _routed_share(shape) if shape.expert_bytes is not None else 0.0
            return WeightBytes(total - experts - (draft - routed), max(0.0, experts - routed), draft)
        return WeightBytes(max(0.0, total - experts - draft), experts, draft)
    dense = _bytes(shape, parts, (SHARED, DENSE, ATTENTION, STATE, REST))
    if dense is None or experts is None:
        return None
    return WeightBytes(dense, experts, _draft_bytes(shape, parts) or 0.0)


def padded(shape: ModelShape, layout: Layout, experts: float) -> float:
    """Return the bytes of MXFP4 experts with the padding that vLLM's kernels need."""
    width = shape.expert_intermediate
    if not width or (shape.expert_precision or shape.precision) != "mxfp4":
        return experts
    parts = 1 if layout.ep > 1 else layout.tp * layout.dp
    return experts * max(
        _padding(width, parts * inner) * _padding(shape.hidden or outer, outer)
        for inner, outer in MXFP4_TILES
    )


def _padding(size: int, multiple: int) -> float:
    return -(-size // multiple) * multiple / size


def elements(shape: ModelShape) -> dict[str, int] | None:
    """Return the number of weights of each part; None if a number of the shape is missing."""
    layers, hidden, heads = shape.layers, shape.hidden, shape.heads
    if not (layers and hidden and heads and shape.vocabulary and (shape.head_dim or shape.is_mla)):
        return None
    if shape.experts and not shape.expert_intermediate:
        return None
    embeddings = shape.vocabulary * hidden * (1 if shape.tied_embeddings else 2)
    states = sum(group.layers for group in shape.attention if group.kind == "state")
    attention_layers = shape.attention_layers if shape.attention_layers is not None else layers
    with_experts = shape.layers_with_experts
    shared = shape.shared_intermediate or shape.shared_experts * (shape.expert_intermediate or 0)
    return {
        ROUTED: with_experts * shape.experts * 3 * hidden * (shape.expert_intermediate or 0),
        SHARED: with_experts * 3 * hidden * shared,
        DENSE: _dense_layers(shape) * 3 * hidden * (shape.dense_intermediate or 0),
        ATTENTION: attention_layers * attention_elements(shape),
        STATE: states * shape.state_weights,
        REST: embeddings + with_experts * hidden * shape.experts + shape.vision_weights,
    }


def _dense_layers(shape: ModelShape) -> int:
    """Return the number of layers with an MLP that every token uses."""
    if not shape.experts:
        return shape.layers or 0
    return shape.dense_layers or max(0, (shape.layers or 0) - shape.layers_with_experts)


def attention_elements(shape: ModelShape) -> int:
    """Return the weights of the attention of one layer: of heads, or of latent vectors (MLA)."""
    hidden, heads, head = shape.hidden or 0, shape.heads or 0, shape.head_dim or 0
    if shape.mla_rank is None:
        value = shape.value_dim or head
        queries = heads * head * (2 if shape.output_gate else 1)
        return hidden * (queries + (shape.kv_heads or heads) * (head + value) + heads * value)
    query, value = heads * (shape.mla_head_dim + shape.mla_rope), shape.value_dim or shape.mla_head_dim
    rank = shape.mla_query_rank
    queries = rank * (hidden + query) if rank else hidden * query
    latent = hidden * (shape.mla_rank + shape.mla_rope) + shape.mla_rank * heads * (
        shape.mla_head_dim + value
    )
    return queries + latent + heads * value * hidden


def part_width(shape: ModelShape, part: str) -> float | None:
    """Return the bytes of one weight of a part; embeddings, routers and encoders are not quantized."""
    if part == REST or part in shape.plain:
        return BYTES.get(shape.dtype)
    precision = (shape.expert_precision if part == ROUTED else "") or shape.precision
    if precision in ("mxfp4", "fp4") and part != ROUTED and not shape.expert_precision and shape.plain:
        return BYTES.get(shape.dtype)
    if precision == "int4" and shape.block:
        return 0.5 + 2.0 / shape.block
    return BYTES.get(precision or shape.dtype)


def _bytes(shape: ModelShape, parts: dict[str, int] | None, names: tuple[str, ...]) -> float | None:
    if parts is None:
        return 0.0 if names == (ROUTED,) and not shape.experts else None
    widths = {name: part_width(shape, name) for name in names if parts[name]}
    if any(width is None for width in widths.values()):
        return None
    return sum(parts[name] * (width or 0.0) for name, width in widths.items())


def _draft_bytes(shape: ModelShape, parts: dict[str, int] | None) -> float | None:
    """Return the bytes of the draft layers of a checkpoint: each is one more layer of the last kind."""
    if not shape.mtp_layers or not shape.layers or parts is None:
        return 0.0
    layer = dict.fromkeys(parts, 0)
    with_experts = shape.layers_with_experts
    for name in (ROUTED, SHARED):
        layer[name] = parts[name] // with_experts if with_experts else 0
    layer[ATTENTION] = attention_elements(shape)
    layer[DENSE] = 0 if with_experts else parts[DENSE] // max(1, _dense_layers(shape))
    layer[REST] = 2 * (shape.hidden or 0) ** 2
    size = _bytes(shape, layer, tuple(layer))
    return None if size is None else size * shape.mtp_layers


def _routed_share(shape: ModelShape) -> float:
    """Return the share of a draft layer that is in its routed experts."""
    with_experts, parts = shape.layers_with_experts, elements(shape)
    if not parts or not with_experts:
        return 0.0
    routed = parts[ROUTED] / with_experts
    return routed / (routed + parts[SHARED] / with_experts + attention_elements(shape))
