"""The shape of a model: the numbers in its config.json that decide layouts and memory.

A number that config.json does not give is None. What depends on it is unknown and is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "fp8": 1.0, "int8": 1.0, "mxfp8": 1.03125}
# 4-bit formats with their scales: a byte of scale for 16 (NVFP4) or 32 (MXFP4) values, 2 bytes for 128
# (INT4).
BYTES |= {"nvfp4": 0.5625, "fp4": 0.5625, "mxfp4": 0.53125, "int4": 0.516, "bf16": 2.0, "fp16": 2.0}

# The names of one number in older families (vllm/transformers_utils/model_arch_config_convertor.py).
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")


@dataclass(frozen=True)
class ModelShape:
    """The sizes of one checkpoint, as numbers of elements. `block` is the quantization block or group."""

    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int | None = None
    dense_intermediate: int | None = None
    dense_layers: int = 0  # first layers, which have no experts (first_k_dense_replace)
    shared_experts: int = 0
    mla_rank: int | None = None  # kv_lora_rank: one latent vector for each token instead of heads
    mla_rope: int = 0
    window: int | None = None  # sliding window, tokens
    window_layers: int = 0
    linear_layers: int = 0  # linear attention: a state of fixed size instead of a KV cache
    dtype: str = "bfloat16"
    precision: str = ""  # of quantized weights; "" means dtype
    block: int | None = None
    tied_embeddings: bool = False
    weight_bytes: int | None = None  # measured: from the safetensors index or headers
    expert_bytes: int | None = None  # measured: the part of weight_bytes in routed experts
    source: str = ""

    @property
    def is_mla(self) -> bool:
        """Return whether it has multi-head latent attention: tensor parallelism does not split its KV cache."""
        return self.mla_rank is not None


def from_config(config: Mapping[str, Any], source: str = "config.json") -> ModelShape:
    """Return the shape in a config.json; that of a multimodal model is under `text_config`."""
    text = config.get("text_config")
    c = {**config, **text} if isinstance(text, Mapping) else config
    heads, hidden = _count(c, *HEADS), _count(c, *HIDDEN)
    experts = _count(c, "num_local_experts", "n_routed_experts", "num_experts") or 0
    dense = _count(c, "intermediate_size")
    window, window_layers = _window(c)
    precision, block = _quantization(config)
    return ModelShape(
        layers=_count(c, *LAYERS),
        hidden=hidden,
        heads=heads,
        kv_heads=_count(c, *KV_HEADS) or heads,
        head_dim=_count(c, "head_dim") or (hidden // heads if hidden and heads else None),
        vocabulary=_count(c, "vocab_size"),
        context=_count(c, *CONTEXT),
        experts=experts,
        experts_per_token=_count(c, "num_experts_per_tok") or 0,
        expert_intermediate=(_count(c, "moe_intermediate_size") or dense) if experts else None,
        dense_intermediate=dense,
        dense_layers=_count(c, "first_k_dense_replace") or 0,
        shared_experts=_count(c, "n_shared_experts") or 0,
        mla_rank=_count(c, "kv_lora_rank"),
        mla_rope=_count(c, "qk_rope_head_dim") or 0,
        window=window,
        window_layers=window_layers,
        linear_layers=_kinds(c).count("linear_attention"),
        dtype=str(c.get("dtype") or c.get("torch_dtype") or "bfloat16"),
        precision=precision,
        block=block,
        tied_embeddings=bool(c.get("tie_word_embeddings", False)),
        source=source,
    )


def _count(config: Mapping[str, Any], *names: str) -> int | None:
    """Return the first positive integer under these keys."""
    values = (config.get(name) for name in names)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), None)


def _window(config: Mapping[str, Any]) -> tuple[int | None, int]:
    """Return the sliding window and the number of layers that use it, by `layer_types`."""
    window, layers = _count(config, "sliding_window"), _kinds(config).count("sliding_attention")
    if not layers or config.get("use_sliding_window") is False:
        return None, 0
    return window, layers


def _kinds(config: Mapping[str, Any]) -> list[Any]:
    kinds = config.get("layer_types")
    return list(kinds) if isinstance(kinds, (list, tuple)) else []


def _quantization(config: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return format and block (FP8: weight_block_size; INT4: group_size) of the quantized weights."""
    q = config.get("quantization_config")
    if not isinstance(q, Mapping):
        return "", None
    blocks = q.get("weight_block_size")
    if isinstance(blocks, (list, tuple)) and blocks and isinstance(blocks[0], int):
        return "fp8", blocks[0]
    if isinstance(q.get("bits"), int):
        return f"int{q['bits']}", _count(q, "group_size")
    if "nvfp4" in f"{q.get('quant_algo')} {q.get('format')}".lower():
        return "nvfp4", _count(q, "group_size")
    return str(q.get("quant_method", "")), _count(q, "group_size")
