"""The memory estimate, against published runs of MiniMax-M2 and against arithmetic that can be done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.planning.memory import Demand, constants, fit, kv_bytes_per_token, weight_parts, weights_gib
from launch.spec.inputs import KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Fit, Layout
from tests.unit.launch.plan_builders import m2_shape

GIB = 2**30


def demand(layout: Layout, vram: float, context: int = 196608, **more: Any) -> Demand:
    return Demand(layout, vram, constants().utilization, context, **more)


def tokens_of(fit: Fit) -> int:
    assert fit.kv_tokens is not None
    return fit.kv_tokens


def replica_tokens_of(fit: Fit) -> int:
    assert fit.kv_tokens_per_replica is not None
    return fit.kv_tokens_per_replica


# Published by MiniMax (4x 96 GB: 400k tokens) and AMD (2x and 4x MI300X: 497,600 and 1.5M).
PUBLISHED = [(2, 192, 497_600), (4, 192, 1_500_000), (4, 96, 400_000)]


@pytest.mark.parametrize(("tp", "vram", "tokens"), PUBLISHED)
def test_fit_predicts_published_runs_within_15_percent(tp: int, vram: float, tokens: int) -> None:
    assert fit(m2_shape(), demand(Layout(tp), vram)).kv_tokens == pytest.approx(tokens, rel=0.15)


# Estimates for other machines, made by another rule: a fixed overhead of 5 GiB.
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
def test_fit_agrees_with_other_estimates_within_15_percent(layout: Layout, vram: float, tokens: int) -> None:
    assert fit(m2_shape(), demand(layout, vram)).kv_tokens_per_replica == pytest.approx(tokens, rel=0.15)


def test_weight_parts_of_m2_are_214_gib_with_209_gib_of_experts() -> None:
    parts = weight_parts(m2_shape())
    assert parts is not None
    dense, experts = parts
    assert (dense + experts) / GIB == pytest.approx(214, abs=1)
    assert experts == 62 * 256 * 3 * 3072 * 1536


def test_weights_gib_with_dp_and_ep_is_attention_and_a_share_of_experts() -> None:
    assert weights_gib(m2_shape(), Layout(dp=8, ep=8)) == pytest.approx(5.0 + 209.25 / 8, abs=0.1)


def test_kv_bytes_per_token_of_m2() -> None:
    assert kv_bytes_per_token(m2_shape(), Layout()) == 253_952
    assert kv_bytes_per_token(m2_shape(), Layout(tp=4)) == 253_952 / 4
    assert (
        kv_bytes_per_token(m2_shape(), Layout(tp=16)) == 253_952 / 8
    )  # eight heads on sixteen ranks: copies
    assert kv_bytes_per_token(m2_shape(), Layout(), "fp8") == 253_952 / 2
    assert kv_bytes_per_token(m2_shape(), Layout(pp=2)) == 253_952 / 2


def test_kv_bytes_per_token_of_mla_is_not_split_by_tp() -> None:
    mla = ModelShape(layers=61, mla_rank=512, mla_rope=64)
    assert kv_bytes_per_token(mla, Layout(tp=8)) == 61 * 576 * 2


def test_fit_limits_layers_with_a_sliding_window() -> None:
    windowed = replace(m2_shape(), layers=62, window=1024, window_layers=31)
    assert kv_bytes_per_token(windowed, Layout()) == 253_952 / 2
    on_h20 = demand(Layout(4), 96)
    assert tokens_of(fit(windowed, on_h20)) > tokens_of(fit(m2_shape(), on_h20))


def test_kv_bytes_per_token_excludes_linear_attention() -> None:
    assert kv_bytes_per_token(replace(m2_shape(), linear_layers=31), Layout()) == 253_952 / 2


def test_weights_gib_prefers_measured_weights() -> None:
    measured = replace(m2_shape(), weight_bytes=100 * GIB, expert_bytes=80 * GIB)
    assert weights_gib(measured, Layout(tp=2)) == 50
    assert weights_gib(measured, Layout(dp=2, ep=2)) == 20 + 40


def test_fit_is_unknown_if_a_number_is_missing() -> None:
    assert fit(None, demand(Layout(), 80)).result == "unknown"
    assert fit(replace(m2_shape(), hidden=None), demand(Layout(), 80)).result == "unknown"
    assert fit(replace(m2_shape(), precision="fancy4"), demand(Layout(), 80)).result == "unknown"


def test_fit_reports_weights_that_do_not_fit() -> None:
    estimate = fit(m2_shape(), demand(Layout(), 141))
    assert (estimate.result, estimate.max_model_len) == ("does not fit", 0)


def test_fit_is_unknown_within_the_tolerance() -> None:
    tokens = tokens_of(fit(m2_shape(), demand(Layout(4), 80)))
    assert fit(m2_shape(), demand(Layout(4), 80, context=tokens)).result == "fits"
    assert fit(m2_shape(), demand(Layout(4), 80, context=tokens + 1)).result == "unknown"
    assert fit(m2_shape(), demand(Layout(4), 80, context=int(tokens * 1.2))).result == "does not fit"


def test_fit_uses_the_measurement_of_an_earlier_start() -> None:
    earlier = KvMeasurement("m", "h20", Layout(4), 300_000)
    assert fit(m2_shape(), demand(Layout(4), 96), earlier).kv_tokens == 300_000
    estimate = tokens_of(fit(m2_shape(), demand(Layout(4), 96)))
    other = fit(m2_shape(), demand(Layout(dp=8, ep=8), 96))
    corrected = fit(m2_shape(), demand(Layout(dp=8, ep=8), 96), earlier)
    assert corrected.kv_tokens_per_replica == pytest.approx(
        replica_tokens_of(other) * 300_000 / estimate, rel=0.01
    )


def test_fit_uses_a_fixed_kv_space_on_cpu() -> None:
    assert fit(m2_shape(), demand(Layout(), 0, kv_gib=1.0)).kv_tokens == GIB // 253_952
