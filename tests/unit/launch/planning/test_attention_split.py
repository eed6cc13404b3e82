"""How tensor parallelism splits attention: each rule of vLLM with a layout that it refuses and one that it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.planning.attention_split import vision_note
from launch.planning.parallelism import check
from launch.recipes.model_facts import published_models, published_shape
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout

FP8 = ModelShape(heads=32, kv_heads=8, head_dim=64, precision="fp8", block=128)
INT4 = ModelShape(heads=24, kv_heads=8, head_dim=128, precision="int4", block=128, dense_intermediate=12288)
V4 = ModelShape(heads=64, kv_heads=1, head_dim=512, output_groups=8, precision="fp8", block=128)
MLA = replace(FP8, heads=128, kv_heads=128, mla_rank=512, mla_rope=64, mla_head_dim=128, value_dim=128)
LINEAR = ModelShape(heads=48, kv_heads=48, head_dim=128, state_heads=(16, 32))

REFUSED = [
    (FP8, 8, "TP8: keys 1 KV head x 64 = 64 is not divisible by the fp8 block of 128"),
    (replace(FP8, kv_heads=1), 1, "TP1: keys 1 KV head x 64 = 64 is not divisible by the fp8 block of 128"),
    (replace(FP8, heads=8), 8, "attention output 1 head x 64 = 64 is not divisible by the fp8 block of 128"),
    (
        replace(INT4, head_dim=80),
        2,
        "attention output 12 heads x 80 = 960 is not divisible by the int4 group of 128",
    ),
    (V4, 16, "TP16: 8 groups of attention outputs (o_groups) / 16 = 0.5, not a whole number"),
    (LINEAR, 24, "TP24: 16 heads of linear attention / 24 = 0.666667, not a whole number"),
    (replace(LINEAR, state_heads=(16, 40)), 16, "TP16: 40 heads of linear attention / 16 = 2.5"),
]
TAKEN = [
    (FP8, 4),
    (replace(FP8, plain=("attention",)), 8),  # the attention is not quantized
    (replace(FP8, block=None), 8),  # one scale for a tensor
    (replace(FP8, precision="nvfp4", block=16), 8),
    (INT4, 8),
    (replace(INT4, head_dim=80), 1),
    (V4, 8),
    (LINEAR, 16),
    (MLA, 16),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "tp", "why"), REFUSED)
def test_check_refuses_what_vllm_refuses(shape: ModelShape, tp: int, why: str) -> None:
    assert why in "; ".join(check(shape, Layout(tp), 0, "0.32.0").reasons)


@pytest.mark.parametrize(("shape", "tp"), TAKEN)
def test_check_takes_what_vllm_takes(shape: ModelShape, tp: int) -> None:
    assert check(shape, Layout(tp), 0, "0.32.0").reasons == ()


@pytest.mark.parametrize("model", published_models())
def test_every_published_model_runs_on_one_gpu_or_a_node(model: str) -> None:
    """Its makers serve it with one of these."""
    shape = published_shape(model)
    assert any(check(shape, Layout(tp), 8, "0.32.0").valid for tp in (1, 2, 4, 8))


def test_parts_that_are_not_quantized_have_no_blocks() -> None:
    shape = replace(INT4, dense_intermediate=960)
    assert "MLP intermediate 960/2 = 480" in check(shape, Layout(2), 0, "").reasons[0]
    assert check(replace(shape, plain=("dense",)), Layout(2), 0, "").reasons == ()


def test_experts_of_another_format_have_other_blocks() -> None:
    experts = replace(V4, experts=256, expert_intermediate=320)
    assert "expert intermediate 320/2 = 160" in check(experts, Layout(2), 0, "0.28.0").reasons[0]
    assert check(replace(experts, expert_precision="fp4"), Layout(2), 0, "0.28.0").reasons == ()


def test_an_encoder_with_odd_heads_is_noted() -> None:
    assert "16 heads, which 3 ranks cannot divide: vLLM 0.32 runs it whole" in vision_note(
        ModelShape(vision_heads=16), 3
    )
    assert vision_note(ModelShape(vision_heads=16), 8) == vision_note(ModelShape(), 3) == ""
