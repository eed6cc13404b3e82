"""The memory estimate: its parts, its result, and the correction by an earlier start on this host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.planning.kv_cache import Limits
from launch.planning.memory import Demand, budget_of, constants, fit
from launch.planning.overhead import Server, in_flight, overhead, table
from launch.planning.weight_size import GIB
from launch.spec.inputs import KvMeasurement
from launch.spec.layers import FULL, LayerGroup
from launch.spec.model_config import ModelShape
from launch.spec.plan import Fit, Layout
from tests.unit.launch.plan_builders import m2_shape

H200, H20 = 139.8, 95.1


def demand(layout: Layout, vram: float, context: int | None = 196608, **more: Any) -> Demand:
    server = Server("NVIDIA", True, layout.gpus, 1024, 8192, "0.32.0")
    limits = Limits(in_flight=in_flight(8192, "0.32.0"))
    return Demand(
        layout, vram, constants().utilization, context, **{"server": server, "limits": limits, **more}
    )


def tokens(estimate: Fit) -> int:
    assert estimate.kv_tokens_per_replica is not None
    return estimate.kv_tokens_per_replica


def test_the_parts_add_up_to_what_the_server_may_use() -> None:
    found = budget_of(m2_shape(), demand(Layout(4), H200))
    assert found is not None
    assert found.weights + found.other + found.kv == pytest.approx(H200 * constants().utilization)
    estimate = fit(m2_shape(), demand(Layout(4), H200))
    assert estimate.detail == (
        f"{found.weights:.1f} GiB weights, {found.other:.1f} GiB other memory and {found.kv:.1f} GiB KV cache "
        f"on each rank (expected error {table().error_gib:.1f} GiB)"
    )
    assert estimate.expected_error == pytest.approx(table().error_gib / found.kv, abs=0.001)


def test_fit_is_unknown_if_a_number_is_missing() -> None:
    assert fit(None, demand(Layout(), 80)).result == "unknown"
    assert fit(replace(m2_shape(), hidden=None), demand(Layout(), 80)).result == "unknown"
    assert fit(replace(m2_shape(), precision="fancy4"), demand(Layout(), 80)).result == "unknown"


def test_fit_says_which_key_makes_the_cache_unknown() -> None:
    estimate = fit(replace(m2_shape(), unknown="layer_types has 'new'"), demand(Layout(), 80))
    assert (estimate.result, estimate.kv_tokens) == ("unknown", None)
    assert estimate.detail == "the KV cache of this model is not known: layer_types has 'new'"


def test_fit_reports_weights_that_do_not_fit() -> None:
    estimate = fit(m2_shape(), demand(Layout(), H200))
    assert (estimate.result, estimate.max_model_len, estimate.kv_tokens) == ("does not fit", 0, 0)
    assert "214.2 GiB of weights" in estimate.detail


def test_fit_is_tight_within_the_expected_error() -> None:
    longest = fit(m2_shape(), demand(Layout(4), 80)).max_model_len or 0
    assert fit(m2_shape(), demand(Layout(4), 80, context=longest)).result == "fits"
    assert fit(m2_shape(), demand(Layout(4), 80, context=longest + 16)).result == "tight"
    assert fit(m2_shape(), demand(Layout(4), 80, context=int(longest * 1.3))).result == "does not fit"


def test_a_tight_estimate_names_the_context_that_is_safe() -> None:
    safe = fit(m2_shape(), demand(Layout(4), 80)).max_model_len or 0
    estimate = fit(m2_shape(), demand(Layout(4), 80, context=safe + 16))
    assert (estimate.result, estimate.safe_context) == ("tight", safe)
    assert fit(m2_shape(), demand(Layout(4), 80, context=estimate.safe_context)).result == "fits"


def test_the_longest_context_is_at_most_the_models_own() -> None:
    assert fit(m2_shape(), demand(Layout(4), H200, longest=196608)).max_model_len == 196608


def test_more_data_parallel_ranks_hold_more_tokens_in_total() -> None:
    estimate = fit(m2_shape(), demand(Layout(dp=8, ep=8), H200))
    assert estimate.kv_tokens == 8 * tokens(estimate)


def test_the_measurement_of_this_layout_is_the_estimate() -> None:
    earlier = KvMeasurement("m", "h20", Layout(4), 300_000)
    corrected = fit(m2_shape(), demand(Layout(4), H20), earlier)
    assert tokens(corrected) == pytest.approx(300_000, abs=2 * 196608 / 100)
    assert corrected.detail.endswith("(expected error 0.3 GiB), corrected by an earlier start on this host")


def test_a_cache_of_set_size_is_not_corrected_by_a_measurement() -> None:
    earlier = KvMeasurement("m", "h20", Layout(4), 300_000)
    for asked in (
        demand(Layout(4), H20, context=4096, kv_gib=4.0),
        demand(Layout(4), H20, 4096, blocks=1000),
    ):
        assert fit(m2_shape(), asked, earlier) == fit(m2_shape(), asked)


def test_a_number_of_blocks_is_the_size_of_the_cache() -> None:
    estimate = fit(m2_shape(), demand(Layout(4), H200, context=4096, blocks=1000))
    assert (estimate.result, tokens(estimate)) == ("fits", 16_000)
    assert estimate.max_model_len == 999 * 16  # vLLM keeps one block back
    assert fit(m2_shape(), demand(Layout(4), H200, blocks=10**8)).result == "does not fit"


def test_the_measurement_of_another_layout_corrects_by_the_same_gib() -> None:
    earlier = KvMeasurement("m", "h20", Layout(4), 300_000)
    own = budget_of(m2_shape(), demand(Layout(4), H20))
    assert own is not None
    difference = 300_000 * 253_952 / 4 / GIB - own.kv
    before, after = (
        fit(m2_shape(), demand(Layout(dp=8, ep=8), H20), measured) for measured in (None, earlier)
    )
    assert tokens(after) - tokens(before) == pytest.approx(difference * GIB / 253_952, rel=0.01)


def test_a_measurement_keeps_its_own_share_and_context() -> None:
    half = replace(demand(Layout(4), H20), utilization=0.8)
    assert tokens(fit(m2_shape(), half)) < tokens(fit(m2_shape(), demand(Layout(4), H20)))
    measured = KvMeasurement(
        "m", "h20", Layout(4), tokens(fit(m2_shape(), half)), utilization=0.8, context=196608
    )
    assert tokens(fit(m2_shape(), demand(Layout(4), H20), measured)) == pytest.approx(
        tokens(fit(m2_shape(), demand(Layout(4), H20))), rel=0.001
    )


def test_fit_uses_a_fixed_kv_space_on_cpu() -> None:
    cpu = demand(Layout(), 0, kv_gib=1.0, server=None, limits=Limits())
    assert tokens(fit(m2_shape(), cpu)) == pytest.approx(GIB / 253_952, rel=0.01)


def test_an_older_vllm_takes_a_smaller_share() -> None:
    assert constants().default_utilization("0.24.0") == 0.9
    assert constants().default_utilization("") == constants().default_utilization("0.32.0") == 0.92


@given(
    layers=st.integers(1, 100),
    kv_heads=st.integers(1, 64),
    head_dim=st.sampled_from([64, 128, 256]),
    vram=st.floats(8, 300),
    tp=st.sampled_from([1, 2, 4, 8]),
)
def test_every_estimate_is_consistent(
    layers: int, kv_heads: int, head_dim: int, vram: float, tp: int
) -> None:
    """A context that fits is in the tokens that fit, and more memory never makes less fit."""
    shape = ModelShape(
        layers=layers, hidden=4096, heads=64, kv_heads=kv_heads, head_dim=head_dim, vocabulary=32000,
        dense_intermediate=11008, attention=(LayerGroup(FULL, layers),),
    )  # fmt: skip
    small, large = (fit(shape, demand(Layout(tp), size, context=None)) for size in (vram, vram + 8))
    assert (small.max_model_len or 0) <= (large.max_model_len or 0)
    assert tokens(small) <= tokens(large)
    assert small.result in ("fits", "tight", "does not fit")
    if small.result == "fits":
        assert small.expected_error is not None
        assert 0 <= small.expected_error <= 1


def test_an_encoder_with_several_outputs_was_measured_with_a_video() -> None:
    """Qwen3-VL with vLLM 0.11.0: 153,600 tokens x 4 outputs x 2048 x 2 bytes; later versions measure an image."""
    shape = ModelShape(hidden=2048, vision_weights=1, vision_outputs=4)
    old = Server("NVIDIA", False, 4, 256, 2048, "0.11.0")
    assert overhead(shape, old)["vision"] == pytest.approx(153_600 * 4 * 2048 * 2 / GIB)
    image = table().coefficients.vision
    assert overhead(shape, replace(old, version="0.12.0"))["vision"] == image
    assert overhead(replace(shape, vision_outputs=1), old)["vision"] == image
    assert overhead(shape, replace(old, vision=False))["vision"] == 0
