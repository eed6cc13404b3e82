"""The published facts of models: their sizes agree with the published numbers of parameters."""

from __future__ import annotations

import pytest

from launch.planning.kv_cache import Limits, pool_of
from launch.planning.weight_size import elements, weights_gib
from launch.recipes.model_facts import published_models, published_shape, table
from launch.spec.plan import Layout

# Billions of parameters as the model cards name them.
PARAMETERS = [
    ("meta-llama/Llama-3.1-8B-Instruct", 8.03),
    ("meta-llama/Llama-3.3-70B-Instruct", 70.6),
    ("Qwen/Qwen3-0.6B", 0.6),
    ("Qwen/Qwen3-8B", 8.19),
    ("Qwen/Qwen3-32B", 32.8),
    ("Qwen/Qwen3-30B-A3B", 30.5),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507", 235),
    ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 480),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", 80),
    ("deepseek-ai/DeepSeek-V3", 671),
    ("moonshotai/Kimi-K2-Instruct", 1027),
    ("openai/gpt-oss-20b", 20.9),
    ("openai/gpt-oss-120b", 116.8),
    ("zai-org/GLM-4.5", 355),
]


@pytest.mark.parametrize(("model", "billions"), PARAMETERS)
def test_the_weights_add_up_to_the_published_number(model: str, billions: float) -> None:
    shape = published_shape(model)
    assert shape is not None
    parts = elements(shape)
    assert parts is not None
    assert sum(parts.values()) / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize("model", published_models())
def test_weights_and_kv_cache_of_every_published_model_are_known(model: str) -> None:
    shape = published_shape(model)
    assert shape is not None
    assert not shape.unknown
    assert weights_gib(shape, Layout(8))
    assert pool_of(shape, Layout(8), Limits())
    assert shape.context


def test_a_model_is_published_once_and_with_a_source() -> None:
    assert len(set(published_models())) == len(published_models())
    assert all(row.source for row in table().models)


def test_another_model_has_no_published_shape() -> None:
    assert published_shape("not/there") is None
