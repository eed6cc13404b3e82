"""The fit against published runs of MiniMax-M2, and against arithmetic that can be done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.planning.memory import Demand, constants, fit, kv_bytes_per_token, weight_parts, weights_gib
from launch.spec.inputs import Measured
from launch.spec.model_config import Shape
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import m2_shape

GIB = 2**30


def demand(layout: Layout, vram: float, context: int = 196608, **more) -> Demand:
    return Demand(layout, vram, constants().utilization, context, **more)


# Published by MiniMax (4x 96 GB: 400k tokens) and AMD (2x and 4x MI300X: 497,600 and 1.5M).
PUBLISHED = [(2, 192, 497_600), (4, 192, 1_500_000), (4, 96, 400_000)]


@pytest.mark.parametrize(("tp", "vram", "tokens"), PUBLISHED)
def test_published_runs_are_met_within_15_percent(tp, vram, tokens):
    assert fit(m2_shape(), demand(Layout(tp), vram)).kv_tokens == pytest.approx(tokens, rel=0.15)


# Estimates for other machines, made with a flat 5 GiB of overhead: another model than ours.
COMPUTED = [
    (Layout(4), 80, 247_000),
    (Layout(2), 141, 140_000),
    (Layout(4), 141, 1_200_000),
    (Layout(2), 192, 545_000),
    (Layout(4), 192, 2_000_000),
    (Layout(dp=8, ep=8), 80, 157_000),
    (Layout(dp=8, ep=8), 96, 219_000),
    (Layout(dp=8, ep=8), 141, 391_000),
]


@pytest.mark.parametrize(("layout", "vram", "tokens"), COMPUTED)
def test_other_estimates_are_met_within_15_percent(layout, vram, tokens):
    assert fit(m2_shape(), demand(layout, vram)).kv_tokens_per_replica == pytest.approx(tokens, rel=0.15)


def test_weights_of_m2_are_214_gib_of_which_209_are_experts():
    dense, experts = weight_parts(m2_shape())
    assert (dense + experts) / GIB == pytest.approx(214, abs=1)
    assert experts == 62 * 256 * 3 * 3072 * 1536


def test_with_dp_and_ep_a_rank_holds_the_attention_and_its_share_of_experts():
    assert weights_gib(m2_shape(), Layout(dp=8, ep=8)) == pytest.approx(5.0 + 209.25 / 8, abs=0.1)


def test_a_token_of_m2_takes_253952_bytes():
    assert kv_bytes_per_token(m2_shape(), Layout()) == 253_952
    assert kv_bytes_per_token(m2_shape(), Layout(tp=4)) == 253_952 / 4
    assert (
        kv_bytes_per_token(m2_shape(), Layout(tp=16)) == 253_952 / 8
    )  # eight heads on sixteen ranks: copies
    assert kv_bytes_per_token(m2_shape(), Layout(), "fp8") == 253_952 / 2
    assert kv_bytes_per_token(m2_shape(), Layout(pp=2)) == 253_952 / 2


def test_an_mla_token_is_one_vector_on_every_rank():
    mla = Shape(layers=61, mla_rank=512, mla_rope=64)
    assert kv_bytes_per_token(mla, Layout(tp=8)) == 61 * 576 * 2


def test_layers_with_a_window_hold_no_more_than_it():
    windowed = replace(m2_shape(), layers=62, window=1024, window_layers=31)
    assert kv_bytes_per_token(windowed, Layout()) == 253_952 / 2
    assert fit(windowed, demand(Layout(4), 96)).kv_tokens > fit(m2_shape(), demand(Layout(4), 96)).kv_tokens


def test_layers_of_linear_attention_keep_no_kv_cache():
    assert kv_bytes_per_token(replace(m2_shape(), linear_layers=31), Layout()) == 253_952 / 2


def test_measured_weights_count_before_computed_ones():
    measured = replace(m2_shape(), weight_bytes=100 * GIB, expert_bytes=80 * GIB)
    assert weights_gib(measured, Layout(tp=2)) == 50
    assert weights_gib(measured, Layout(dp=2, ep=2)) == 20 + 40


def test_what_is_not_known_is_unknown():
    assert fit(None, demand(Layout(), 80)).verdict == "unknown"
    assert fit(replace(m2_shape(), hidden=None), demand(Layout(), 80)).verdict == "unknown"
    assert fit(replace(m2_shape(), precision="fancy4"), demand(Layout(), 80)).verdict == "unknown"


def test_weights_that_do_not_fit():
    found = fit(m2_shape(), demand(Layout(), 141))
    assert (found.verdict, found.max_model_len) == ("does not fit", 0)


def test_a_context_near_the_edge_is_too_close_to_call():
    tokens = fit(m2_shape(), demand(Layout(4), 80)).kv_tokens
    assert fit(m2_shape(), demand(Layout(4), 80, context=tokens)).verdict == "fits"
    assert fit(m2_shape(), demand(Layout(4), 80, context=tokens + 1)).verdict == "unknown"
    assert fit(m2_shape(), demand(Layout(4), 80, context=int(tokens * 1.2))).verdict == "does not fit"


def test_what_vllm_printed_here_is_believed():
    earlier = Measured("m", "h20", Layout(4), 300_000)
    assert fit(m2_shape(), demand(Layout(4), 96), earlier).kv_tokens == 300_000
    estimate = fit(m2_shape(), demand(Layout(4), 96)).kv_tokens
    other = fit(m2_shape(), demand(Layout(dp=8, ep=8), 96))
    corrected = fit(m2_shape(), demand(Layout(dp=8, ep=8), 96), earlier)
    assert corrected.kv_tokens_per_replica == pytest.approx(
        other.kv_tokens_per_replica * 300_000 / estimate, rel=0.01
    )


def test_on_cpu_the_kv_space_is_given():
    found = fit(m2_shape(), demand(Layout(), 0, kv_gib=1.0))
    assert found.kv_tokens == GIB // 253_952
