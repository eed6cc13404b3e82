"""The context of a model with scaled rotary positions, and the longest that it can be set to."""

from __future__ import annotations

from typing import Any

import pytest

from launch.spec.model_config import from_config
from launch.spec.rope_scaling import Context, context_of

TRAINED = "original_max_position_embeddings"
SCALED: list[tuple[dict[str, Any], int, Context]] = [
    ({}, 4096, Context(4096, 4096)),
    ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 4096, Context(16384, 16384)),
    ({"rope_scaling": {"rope_type": "dynamic", "factor": 2}}, 4096, Context(8192, 8192)),
    ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, TRAINED: 32768}}, 32768, Context(32768, 131072)),
    ({"rope_scaling": {"type": "yarn", "factor": 32, TRAINED: 4096}}, 131072, Context(131072, 131072)),
    (
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, TRAINED: 32768}},
        40960,
        Context(40960, 131072),
    ),
    (
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, TRAINED: 8192}},
        131072,
        Context(131072, 131072),
    ),
    ({"rope_scaling": {"type": "longrope"}, TRAINED: 4096}, 131072, Context(4096, 131072)),
    (
        {"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        131072,
        Context(131072, 131072),
    ),
    (
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "yarn", "factor": 2.0},
                "sliding_attention": {"rope_type": "default"},
            }
        },
        4096,
        Context(4096, 8192),
    ),
    ({"rope_scaling": {"rope_type": "yarn", "factor": "4"}}, 4096, Context(4096, 4096)),
    ({"rope_scaling": "yarn"}, 4096, Context(4096, 4096)),
]


@pytest.mark.parametrize(("config", "own", "expected"), SCALED)
def test_the_context_of_each_scaling(config: dict[str, Any], own: int, expected: Context) -> None:
    assert context_of(config, own) == expected


def test_a_shape_has_the_longest_context_if_it_is_another() -> None:
    config = {"max_position_embeddings": 32768, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    assert (from_config(config).context, from_config(config).longest) == (32768, 131072)
    assert from_config({"max_position_embeddings": 32768}).longest is None


def test_a_config_without_a_context() -> None:
    assert context_of({"rope_scaling": {"type": "yarn", "factor": 2}}, None) == Context(None, None)
