"""The shape of a model: the numbers in its config.json that decide layouts and memory.

A number that config.json does not give is None. What depends on it is unknown and is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launch.spec.kv_layers import kv_layers
from launch.spec.layers import BOTH, LARGEST, STATE, LayerGroup, UnknownLayers, group, kinds, row_of
from launch.spec.quantization import BYTES, quantization
from launch.spec.rope_scaling import context_of
from launch.spec.state_layers import StateLayer, state_layer
from launch.spec.vision_tower import vision_tower

__all__ = ["BYTES", "ModelShape", "from_config"]

# The names of one number in older families (vllm/transformers_utils/model_arch_config_convertor.py).
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = (
    "n_head_kv",
    "num_kv_heads",
    "num_key_value_heads",
    "multi_query_group_num",
    "num_attention_groups",
)
EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts")
TOP_K = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "top_k_experts",
    "moe_topk",
    "moe_k",
)
GATES = ("attn_output_gate", "use_attn_output_gate")
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
    longest: int | None = None  # with the scaling of its rotary positions; None: `context`
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int | None = None
    expert_layers: int | None = None  # None: all but `dense_layers`
    dense_intermediate: int | None = None
    dense_layers: int = 0  # first layers, which have no experts (first_k_dense_replace)
    shared_experts: int = 0
    shared_intermediate: int | None = (
        None  # of all shared experts; None: that of `shared_experts` routed ones
    )
    mla_rank: int | None = None  # kv_lora_rank: one latent vector for each token instead of heads
    mla_rope: int = 0
    mla_query_rank: int | None = None
    mla_head_dim: int = 0  # qk_nope_head_dim
    value_dim: int | None = None  # of a head, if it differs from `head_dim`
    output_gate: bool = False  # the query projection has twice the columns
    output_groups: int = 0  # o_groups of DeepSeek-V4
    attention: tuple[LayerGroup, ...] = ()  # empty: all layers keep every token
    attention_layers: int | None = None  # with attention; None: all
    unknown: str = ""  # why the KV cache is not known; "" if it is
    state_weights: int = 0  # of one layer with a state
    state_heads: tuple[int, ...] = ()
    vision_weights: int = 0
    vision_heads: int = 0
    vision_outputs: int = 0  # layers of the encoder whose output is kept
    mtp_layers: int = 0  # of a draft model in the same checkpoint, loaded for speculative decoding only
    dtype: str = "bfloat16"
    precision: str = ""  # of quantized weights; "" means dtype
    expert_precision: str = ""  # of the routed experts; "" means `precision`
    plain: tuple[str, ...] = ()  # parts that are not quantized (spec/quantization.py)
    kv_dtype: str = ""  # of the KV cache that the checkpoint asks for
    block: int | None = None
    tied_embeddings: bool = False
    weight_bytes: int | None = None  # measured: from the safetensors index or headers
    expert_bytes: int | None = None  # measured: the part of weight_bytes in routed experts
    source: str = ""

    @property
    def is_mla(self) -> bool:
        """Return whether it has multi-head latent attention: tensor parallelism does not split its KV cache."""
        return self.mla_rank is not None

    @property
    def layers_with_experts(self) -> int:
        """Return the number of layers with routed experts."""
        if not self.experts:
            return 0
        return (
            self.expert_layers
            if self.expert_layers is not None
            else max(0, (self.layers or 0) - self.dense_layers)
        )


def from_config(config: Mapping[str, Any], source: str = "config.json") -> ModelShape:
    """Return the shape in a config.json; that of a multimodal model is under `text_config`."""
    text = _text(config)
    c = {**config, **text}
    heads, hidden, layers = _count(c, *HEADS), _count(c, *HIDDEN), _count(c, *LAYERS)
    experts, dense = _experts(c), _count(c, "intermediate_size", "ffn_hidden_size", "n_inner")
    dtype = _dtype(c)
    found, context = quantization(config), context_of(c, _count(c, *CONTEXT))
    state = state_layer(c, hidden or 0, heads or 0, BYTES.get(dtype, 2.0))
    attention, unknown = _attention(c, layers, state)
    vision = vision_tower(config)
    return ModelShape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_kv_heads(c, heads),
        head_dim=_count(c, "head_dim", "attention_head_dim", "hidden_size_per_head")
        or (hidden // heads if hidden and heads else None),
        vocabulary=_count(c, "vocab_size"),
        context=context.default,
        longest=context.longest if context.longest != context.default else None,
        experts=experts,
        experts_per_token=_count(c, *TOP_K) or 0,
        expert_intermediate=(_count(c, "moe_intermediate_size", "expert_ffn_hidden_size") or dense)
        if experts
        else None,
        expert_layers=_expert_layers(c, layers) if experts else None,
        dense_intermediate=_count(c, "dense_intermediate_size", "intermediate_size_mlp") or dense,
        dense_layers=_count(c, "first_k_dense_replace") or 0,
        shared_experts=_count(c, "n_shared_experts", "num_shared_experts") or 0,
        shared_intermediate=_count(c, "shared_expert_intermediate_size", "shared_intermediate_size"),
        mla_rank=_count(c, "kv_lora_rank"),
        mla_rope=_count(c, "qk_rope_head_dim") or 0,
        mla_query_rank=_count(c, "q_lora_rank"),
        mla_head_dim=_count(c, "qk_nope_head_dim") or 0,
        value_dim=_count(c, "v_head_dim"),
        output_gate=any(c.get(key) is True for key in GATES) or c.get("model_type") == "qwen3_next",
        output_groups=_count(c, "o_groups") or 0,
        attention=attention,
        attention_layers=_attention_layers(c, layers),
        unknown=unknown,
        state_weights=state.weights if state and _has_states(c, layers) else 0,
        state_heads=state.heads if state and _has_states(c, layers) else (),
        vision_weights=vision.weights,
        vision_heads=vision.heads,
        vision_outputs=vision.outputs,
        mtp_layers=_count(c, "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules") or 0,
        dtype=dtype,
        precision=found.precision,
        expert_precision=str(c.get("expert_dtype") or ""),
        plain=found.plain,
        kv_dtype=found.kv_dtype,
        block=found.block,
        tied_embeddings=bool(c.get("tie_word_embeddings", False)),
        source=source,
    )


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a multimodal config that describes the language model; {} for a flat one."""
    parts = (config.get(key) for key in ("text_config", "llm_config", "language_config"))
    return next((part for part in parts if isinstance(part, Mapping)), {})


def _count(config: Mapping[str, Any], *names: str) -> int | None:
    """Return the first positive integer under these keys."""
    values = (config.get(name) for name in names)
    return next((v for v in values if type(v) is int and 0 < v <= LARGEST), None)


def _dtype(config: Mapping[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").removeprefix("torch.")


def _kv_heads(config: Mapping[str, Any], heads: int | None) -> int | None:
    """Return the KV heads; Falcon's `multi_query` is one head (FalconModelArchConfigConvertor)."""
    if config.get("multi_query") is True and not config.get("new_decoder_architecture"):
        return 1
    return _count(config, *KV_HEADS) or heads


def _experts(config: Mapping[str, Any]) -> int:
    """Return the number of routed experts; a list has one number for each modality."""
    lists = [config[name][0] for name in EXPERTS if isinstance(config.get(name), list) and config[name]]
    return _count(config, *EXPERTS) or next((n for n in lists if type(n) is int and n > 0), 0)


def _expert_layers(config: Mapping[str, Any], layers: int | None) -> int | None:
    """Return the layers with experts, if the config says more than that some first layers have none."""
    if not layers:
        return None
    for key in ("mlp_layer_types", "layers_block_type", "moe_layer_freq"):
        named = config.get(key)
        if isinstance(named, list) and any(name in ("sparse", "moe", 1) for name in named):
            return sum(name in ("sparse", "moe", 1) for name in named[:layers])
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str) and "E" in pattern:
        return pattern.count("E")
    step = _count(config, "interleave_moe_layer_step", "decoder_sparse_step", "expert_layer_period") or 1
    without = config.get("mlp_only_layers")
    dense = len(without) if isinstance(without, Sequence) else 0
    return layers // step - dense if step > 1 or dense else None


def _attention(
    config: Mapping[str, Any], layers: int | None, state: StateLayer | None
) -> tuple[tuple[LayerGroup, ...], str]:
    """Return the groups of layers by what they keep, or why they are not known."""
    if not layers:
        return (), ""
    try:
        found = kv_layers(config, layers, state)
    except UnknownLayers as error:
        return (), str(error)
    return (() if found == (LayerGroup("full", layers),) else found), ""


def _attention_layers(config: Mapping[str, Any], layers: int | None) -> int | None:
    """Return the number of layers with attention, if other layers are among them."""
    if not layers or row_of(config) is None or config.get("compress_ratios"):
        return None
    try:
        found = group(kinds(config, layers))
    except UnknownLayers:
        return None
    number = sum(count for kind, count in found.items() if kind not in (STATE, "none"))
    return number if number != layers else None


def _has_states(config: Mapping[str, Any], layers: int | None) -> bool:
    try:
        return bool({STATE, BOTH} & set(kinds(config, layers or 0)))
    except UnknownLayers:
        return False
