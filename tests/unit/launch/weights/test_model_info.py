from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from launch.spec.model_config import from_config
from launch.weights.model_info import shapes

MODEL = "slipway/MiniMax-M2-tiny"


def header(tensors: dict[str, int]) -> bytes:
    text = json.dumps(
        {name: {"dtype": "BF16", "shape": [], "data_offsets": [0, size]} for name, size in tensors.items()}
    ).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / f"models--{MODEL.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc")
    snapshot = root / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(
        '{"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 128}'
    )
    index = {"metadata": {"total_size": 117}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "one.safetensors").write_bytes(header({"model.layers.0.mlp.experts.0.w1": 100, "norm": 10}))
    (snapshot / "two.safetensors").write_bytes(header({"lm_head": 5}))
    return snapshot


def test_shapes_measure_weights_from_the_headers(folder: Path, tmp_path: Path) -> None:
    found = shapes(tmp_path, [MODEL, "not/there"])
    assert found.keys() == {MODEL}
    assert (found[MODEL].weight_bytes, found[MODEL].expert_bytes) == (115, 100)
    assert (found[MODEL].heads, found[MODEL].kv_heads, found[MODEL].head_dim) == (4, 2, 32)


def test_shapes_use_the_index_until_all_shards_are_in_the_cache(folder: Path, tmp_path: Path) -> None:
    (folder / "two.safetensors").unlink()
    assert shapes(tmp_path, [MODEL])[MODEL].weight_bytes == 117
    assert shapes(tmp_path, [MODEL])[MODEL].expert_bytes is None
    (folder / "model.safetensors.index.json").write_text("{}")
    assert shapes(tmp_path, [MODEL])[MODEL].weight_bytes is None


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_shapes_leave_out_a_model_with_an_invalid_config(folder: Path, tmp_path: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert shapes(tmp_path, [MODEL]) == {}


def test_shapes_ignore_an_invalid_header(folder: Path, tmp_path: Path) -> None:
    (folder / "one.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{")
    assert shapes(tmp_path, [MODEL])[MODEL].expert_bytes is None


CONFIGS = [
    ({"text_config": {"num_attention_heads": 8}}, "heads", 8),
    ({"num_local_experts": 4, "intermediate_size": 64}, "expert_intermediate", 64),
    (
        {"n_routed_experts": 4, "moe_intermediate_size": 32, "intermediate_size": 64},
        "expert_intermediate",
        32,
    ),
    ({"kv_lora_rank": 512}, "is_mla", True),
    ({"quantization_config": {"weight_block_size": [128, 128]}}, "block", 128),
    ({"quantization_config": {"bits": 4, "group_size": 32}}, "precision", "int4"),
    ({"num_attention_heads": "8"}, "heads", None),
]


@pytest.mark.parametrize(("config", "fact", "value"), CONFIGS)
def test_from_config_understands_many_forms(config: dict[str, Any], fact: str, value: object) -> None:
    assert getattr(from_config(config), fact) == value
