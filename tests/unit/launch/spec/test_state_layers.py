"""The state of a request in layers without a KV cache, by the shapes that vLLM computes."""

from __future__ import annotations

from typing import Any

import pytest

from launch.spec.model_config import from_config
from launch.spec.state_layers import state_layer
from launch.spec.vision_tower import vision_tower

# A gated delta net of Qwen3-Next: 16 key heads and 32 value heads of 128, a convolution of 4.
DELTA_NET = {
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}
STATES: list[tuple[str, dict[str, Any], float, tuple[int, ...]]] = [
    ("delta net", DELTA_NET, 8192 * 3 * 2 + 32 * 128 * 128 * 2, (16, 32)),
    (
        "float32 state",
        {**DELTA_NET, "mamba_ssm_dtype": "float32"},
        8192 * 3 * 2 + 32 * 128 * 128 * 4,
        (16, 32),
    ),
    (
        "mamba 2",
        {"mamba_num_heads": 64, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4},
        (4096 + 2 * 8 * 128) * 3 * 2 + 4096 * 128 * 2,
        (64,),
    ),
    (
        "mamba 1",
        {"mamba_d_state": 16, "mamba_expand": 2, "mamba_d_conv": 4},
        2048 * 3 * 2 + 2048 * 16 * 2,
        (),
    ),
    ("short convolution", {"conv_L_cache": 3, "conv_dim": 1024}, 1024 * 2 * 2, ()),
    ("lightning attention", {"attn_type_list": [0], "head_dim": 128}, 8 * 128 * 128 * 2, (8,)),
]


@pytest.mark.parametrize(("name", "config", "size", "heads"), STATES, ids=[row[0] for row in STATES])
def test_the_state_of_each_family(
    name: str, config: dict[str, Any], size: float, heads: tuple[int, ...]
) -> None:
    found = state_layer(config, 1024, 8, 2.0)
    assert found is not None
    assert (found.bytes, found.heads) == (size, heads)
    assert found.weights > 0


def test_a_state_of_an_unknown_size_makes_the_cache_unknown() -> None:
    config = {"num_hidden_layers": 2, "layer_types": ["mamba", "full_attention"], "num_attention_heads": 2}
    assert "the size of the state" in from_config(config).unknown


def test_an_encoder_of_images_has_weights_and_heads() -> None:
    tower = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
    found = vision_tower({"vision_config": tower})
    assert found.heads == 16
    assert found.weights == pytest.approx(27 * (4 * 1152**2 + 2 * 1152 * 4304), rel=0.02)
    assert vision_tower({}).weights == 0
