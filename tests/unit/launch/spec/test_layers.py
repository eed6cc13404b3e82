"""What the layers of a model keep, for each key by which a config.json says it."""

from __future__ import annotations

from typing import Any

import pytest

from launch.spec.layers import UnknownLayers, group, kinds, table
from launch.spec.model_config import ModelShape, from_config

# One config for each row of layer_kinds.yaml: key, config, layers, expected numbers of each kind.
KEYS: list[tuple[str, dict[str, Any], int, dict[str, int]]] = [
    ("compress_ratios", {"compress_ratios": [4, 128]}, 2, {"full": 2}),
    ("attn_type_list", {"attn_type_list": [0, 0, 0, 1]}, 4, {"state": 3, "full": 1}),
    ("hybrid_layer_pattern", {"hybrid_layer_pattern": [0, 1, 1]}, 3, {"full": 1, "sliding": 2}),
    ("hybrid_override_pattern", {"hybrid_override_pattern": "M-M*E"}, 5, {"state": 2, "none": 2, "full": 1}),
    ("layers_block_type", {"layers_block_type": ["mamba", "hybrid"]}, 2, {"state": 2, "full": 1}),
    (
        "layer_types",
        {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
        2,
        {"sliding": 1, "full": 1},
    ),
    ("layer_types", {"layer_types": ["conv", "conv", "full_attention"]}, 3, {"state": 2, "full": 1}),
    (
        "layer_types",
        {"layer_types": ["linear_attention"] * 3 + ["full_attention"]},
        4,
        {"state": 3, "full": 1},
    ),
    (
        "layer_types",
        {"layer_types": ["chunked_attention"] * 3 + ["full_attention"]},
        4,
        {"chunked": 3, "full": 1},
    ),
    (
        "linear_attn_config.full_attn_layers",
        {"linear_attn_config": {"full_attn_layers": [4]}},
        4,
        {"state": 3, "full": 1},
    ),
    ("full_attn_idxs", {"full_attn_idxs": [2, 5]}, 6, {"state": 4, "full": 2}),
    ("attn_layer_indices", {"attn_layer_indices": [0]}, 3, {"full": 1, "state": 2}),
    ("hybrid_layer_ids", {"hybrid_layer_ids": [1]}, 3, {"full": 1, "state": 3}),
    ("full_attention_interval", {"full_attention_interval": 4}, 48, {"full": 12, "state": 36}),
    ("layer_group_size", {"layer_group_size": 4}, 8, {"full": 2, "state": 6}),
    ("attn_layer_period", {"attn_layer_period": 8, "attn_layer_offset": 4}, 32, {"full": 4, "state": 28}),
    ("no_rope_layers", {"no_rope_layers": [1, 1, 1, 0]}, 4, {"chunked": 3, "full": 1}),
    (
        "sliding_window_pattern",
        {"sliding_window_pattern": 6, "sliding_window": 512},
        12,
        {"sliding": 10, "full": 2},
    ),
    (
        "_sliding_window_pattern",
        {"_sliding_window_pattern": 6, "sliding_window": 512},
        12,
        {"sliding": 10, "full": 2},
    ),
]


@pytest.mark.parametrize(("key", "config", "layers", "expected"), KEYS)
def test_kinds_of_each_key(key: str, config: dict[str, Any], layers: int, expected: dict[str, int]) -> None:
    assert group(kinds(config, layers)) == expected


def test_every_key_of_the_table_has_a_config_above_and_a_source() -> None:
    assert {row.key for row in table().keys} == {key for key, *_ in KEYS}
    assert all(row.source for row in table().keys)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"full": 4}),
        ({"model_type": "mistral", "sliding_window": 4096}, {"sliding": 4}),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, {"full": 4}),
        ({"model_type": "qwen3", "sliding_window_pattern": 2, "sliding_window": None}, {"full": 4}),
        ({"model_type": "falcon_h1", "mamba_d_ssm": 8}, {"full": 4, "state": 4}),
    ],
)
def test_kinds_without_such_a_key(config: dict[str, Any], expected: dict[str, int]) -> None:
    assert group(kinds(config, 4)) == expected


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"layer_types": ["full_attention", "retention"]}, "layer_types has 'retention'"),
        ({"layer_types": ["full_attention"]}, "layer_types describes 1 of 2 layers"),
        ({"hybrid_override_pattern": "M?"}, "hybrid_override_pattern has '\\?'"),
        ({"full_attention_interval": "4"}, "full_attention_interval cannot be read"),
        ({"linear_num_value_heads": 32}, "linear_num_value_heads says that not all layers have a KV cache"),
        ({"mamba_d_state": 16}, "mamba_d_state says"),
    ],
)
def test_layers_that_the_table_does_not_have_are_unknown(config: dict[str, Any], why: str) -> None:
    with pytest.raises(UnknownLayers, match=why):
        kinds(config, 2)
    shape = from_config({"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2, **config})
    assert shape.unknown
    assert shape.attention == ()


BASE = {
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def caches(**config: Any) -> list[tuple[str, int, int, float]]:
    shape: ModelShape = from_config({**BASE, **config})
    assert not shape.unknown
    return [(group.kind, group.layers, group.window, group.entry_bytes) for group in shape.attention]


CACHES: list[tuple[dict[str, Any], list[tuple[str, int, int, float]]]] = [
    ({}, []),
    (
        {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 8},
        [("full", 2, 0, 0.0), ("sliding", 2, 8, 0.0)],
    ),
    (
        {"layer_types": ["chunked_attention"] * 3 + ["full_attention"], "attention_chunk_size": 8192},
        [("full", 1, 0, 0.0), ("chunked", 3, 8192, 0.0)],
    ),
    ({"num_kv_shared_layers": 3}, [("full", 1, 0, 0.0)]),
    (
        {"kv_lora_rank": 512, "index_topk": 2048, "index_head_dim": 128},
        [("full", 4, 0, 0.0), ("full", 4, 0, 132.0)],
    ),
    (
        {"kv_lora_rank": 512, "index_topk": 2048, "index_topk_freq": 4},
        [("full", 4, 0, 0.0), ("full", 1, 0, 132.0)],
    ),
    (
        {"kv_lora_rank": 512, "index_topk": 2048, "index_topk_pattern": "FSSF"},
        [("full", 4, 0, 0.0), ("full", 2, 0, 132.0)],
    ),
    (
        {
            "sparse_attention_config": {
                "use_sparse_attention": True,
                "sparse_index_dim": 64,
                "sparse_attention_freq": [0, 1, 1, 1],
            }
        },
        [("full", 4, 0, 0.0), ("full", 3, 0, 128.0)],
    ),
]


@pytest.mark.parametrize(("config", "expected"), CACHES)
def test_caches_of_each_kind(config: dict[str, Any], expected: list[tuple[str, int, int, float]]) -> None:
    assert caches(**config) == expected


def test_compressed_caches_have_entries_for_each_ratio() -> None:
    found = caches(compress_ratios=[0, 4, 128, 4], sliding_window=128, head_dim=512, index_head_dim=128)
    assert found[0] == ("sliding", 4, 128, 584)
    assert [row for row in found if row[0] == "full"] == [
        ("full", 2, 0, 584),
        ("full", 2, 0, 132),
        ("full", 1, 0, 584),
    ]


def test_windows_and_global_layers_may_have_heads_of_their_own() -> None:
    shape = from_config({
        **BASE, "layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 1024,
        "num_global_key_value_heads": 1, "global_head_dim": 32, "swa_num_key_value_heads": 4,
    })  # fmt: skip
    full, window = shape.attention
    assert (full.kv_heads, full.head_dim, window.kv_heads) == (1, 32, 4)


@pytest.mark.parametrize("number", [10**12, 10**300])
def test_more_layers_than_any_model_has_are_unknown_at_once(number: int) -> None:
    shape = from_config(
        {"num_hidden_layers": number, "full_attention_interval": number, "num_attention_heads": 2}
    )
    assert shape.unknown or shape.layers is None


@pytest.mark.parametrize("factor", [float("inf"), float("nan"), 10**400, -1, True])
def test_an_invalid_factor_scales_nothing(factor: float) -> None:
    config = {"max_position_embeddings": 4096, "rope_scaling": {"rope_type": "yarn", "factor": factor}}
    assert from_config(config).longest is None
