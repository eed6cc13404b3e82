"""The number format of a checkpoint's weights, for each form of quantization_config."""

from __future__ import annotations

from typing import Any

import pytest

from launch.spec.quantization import Quantization, quantization

GROUP = {"num_bits": 4, "type": "int", "group_size": 32}
FORMS: list[tuple[dict[str, Any], Quantization]] = [
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, Quantization("fp8", 128)),
    ({"quant_method": "fp8"}, Quantization("fp8")),
    ({"quant_method": "mxfp8", "weight_block_size": [1, 32]}, Quantization("mxfp8", 1)),
    ({"quant_method": "modelopt", "quant_algo": "FP8"}, Quantization("fp8")),
    ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, Quantization("nvfp4", 16)),
    (
        {"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}},
        Quantization("nvfp4", None, (), "fp8"),
    ),
    (
        {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
        Quantization("mxfp4", None, ("attention",)),
    ),
    ({"quant_method": "gptq", "bits": 4, "group_size": 128}, Quantization("int4", 128)),
    ({"quant_method": "awq", "bits": 4, "group_size": 64}, Quantization("int4", 64)),
    (
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": GROUP}}},
        Quantization("int4", 32),
    ),
    (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "group_0": {"weights": {"num_bits": 8, "type": "float", "block_structure": [128, 128]}}
            },
        },
        Quantization("fp8", 128),
    ),
    (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            "kv_cache_scheme": {"num_bits": 8},
        },
        Quantization("fp8", None, (), "fp8"),
    ),
    (
        {
            "quant_method": "compressed-tensors",
            "format": "nvfp4-pack-quantized",
            "ignore": ["re:.*self_attn.*", "re:.*shared_experts.*"],
        },
        Quantization("nvfp4", None, ("attention", "shared")),
    ),
    ({"quant_method": "new"}, Quantization("new")),
]


@pytest.mark.parametrize(("config", "expected"), FORMS)
def test_each_form(config: dict[str, Any], expected: Quantization) -> None:
    assert quantization({"quantization_config": config}) == expected
    assert quantization({"text_config": {"quantization_config": config}}) == expected


@pytest.mark.parametrize("config", [{}, {"quantization_config": None}, {"quantization_config": "fp8"}])
def test_a_config_without_a_quantization(config: dict[str, Any]) -> None:
    assert quantization(config) == Quantization()
