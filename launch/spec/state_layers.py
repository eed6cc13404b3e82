"""The state and the weights of layers without a KV cache: linear attention, Mamba, short convolutions.

The shapes are those of MambaStateShapeCalculator (vllm/model_executor/layers/mamba/mamba_utils.py, vLLM 0.32.0), for
all ranks of tensor parallelism together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.spec.layers import LARGEST

FLOAT32 = 4.0
# Families whose recurrent state vLLM keeps in float32 (vllm/model_executor/models/config.py).
FLOAT32_STATES = ("nemotron_h",)


@dataclass(frozen=True)
class StateLayer:
    """One layer: bytes of a request's state, the weights of its matrices, and the heads that ranks divide."""

    bytes: float
    weights: int
    heads: tuple[int, ...] = ()


def state_layer(config: Mapping[str, Any], hidden: int, heads: int, width: float) -> StateLayer | None:
    """Return the state layer of a config, None if its family is not known. `width` is the bytes of its dtype."""
    named = FLOAT32_STATES if config.get("mamba_ssm_dtype") is None else ()
    float32 = config.get("mamba_ssm_dtype") == "float32" or config.get("model_type") in named
    state = FLOAT32 if float32 else width
    for read in (_delta_net, _delta_attention, _mamba2, _mamba1, _short_conv):
        found = read(config, hidden, width, state)
        if found is not None:
            return found
    return _lightning(config, hidden, heads, width)


def _delta_net(c: Mapping[str, Any], hidden: int, width: float, state: float) -> StateLayer | None:
    """Return a gated delta net (Qwen3-Next, Qwen3.5 and later)."""
    keys, values = _int(c, "linear_num_key_heads"), _int(c, "linear_num_value_heads")
    key_dim, value_dim = _int(c, "linear_key_head_dim"), _int(c, "linear_value_head_dim")
    if not (keys and values and key_dim and value_dim):
        return None
    mixed = 2 * keys * key_dim + values * value_dim
    conv = mixed * (_int(c, "linear_conv_kernel_dim", default=4) - 1)
    weights = hidden * (mixed + 2 * values * value_dim + 2 * values)
    return StateLayer(conv * width + values * value_dim * key_dim * state, weights, (keys, values))


def _delta_attention(c: Mapping[str, Any], hidden: int, width: float, state: float) -> StateLayer | None:
    """Return a Kimi delta attention (Kimi Linear, Ling 3); its recurrent state is float32."""
    linear = c.get("linear_attn_config", c)
    if not isinstance(linear, Mapping) or not _int(linear, "short_conv_kernel_size"):
        return None
    heads, dim = _int(linear, "num_heads", "num_attention_heads"), _int(linear, "head_dim")
    if not heads or not dim:
        return None
    conv = 3 * heads * dim * (_int(linear, "short_conv_kernel_size") - 1)
    weights = hidden * (4 * heads * dim + heads) + 2 * dim * (hidden + heads * dim)
    return StateLayer(conv * width + heads * dim * dim * FLOAT32, weights, (heads,))


def _mamba2(c: Mapping[str, Any], hidden: int, width: float, state: float) -> StateLayer | None:
    heads = _int(c, "mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
    dim = _int(c, "mamba_head_dim", "mamba_d_head", "mamba_headdim")
    size = _int(c, "ssm_state_size", "mamba_d_state")
    if not (heads and size):
        return None
    inner = heads * dim if dim else _int(c, "mamba_d_ssm") or _int(c, "mamba_expand", default=2) * hidden
    groups = _int(c, "n_groups", "mamba_n_groups", "mamba_ngroups", default=1)
    mixed = inner + 2 * groups * size
    conv = mixed * (_int(c, "conv_kernel", "mamba_d_conv", default=4) - 1)
    return StateLayer(
        conv * width + inner * size * state, hidden * (inner + mixed + heads) + inner * hidden, (heads,)
    )


def _mamba1(c: Mapping[str, Any], hidden: int, width: float, state: float) -> StateLayer | None:
    size = _int(c, "mamba_d_state", "state_size")
    if not size:
        return None
    inner = _int(c, "mamba_expand", "expand", default=2) * hidden
    conv = inner * (_int(c, "mamba_d_conv", "conv_kernel", default=4) - 1)
    return StateLayer(conv * width + inner * size * state, 3 * hidden * inner)


def _short_conv(c: Mapping[str, Any], hidden: int, width: float, state: float) -> StateLayer | None:
    kernel = _int(c, "conv_L_cache")
    if not kernel:
        return None
    inner = _int(c, "conv_dim", default=hidden)
    return StateLayer(inner * (kernel - 1) * width, 4 * hidden * inner)


def _lightning(c: Mapping[str, Any], hidden: int, heads: int, width: float) -> StateLayer | None:
    """Return a lightning attention (MiniMax-Text-01, Ling linear): one square matrix for each head."""
    if not heads or not ("attn_type_list" in c or "layer_group_size" in c):
        return None
    dim = _int(c, "head_dim", default=hidden // heads)
    return StateLayer(heads * dim * dim * width, 5 * hidden * heads * dim, (heads,))


def _int(config: Mapping[str, Any], *names: str, default: int = 0) -> int:
    """Return the first positive integer under these keys."""
    values = (config.get(name) for name in names)
    return next((v for v in values if type(v) is int and 0 < v <= LARGEST), default)
