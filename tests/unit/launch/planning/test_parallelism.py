"""Valid and invalid layouts with the arithmetic, by the rules that vLLM itself checks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.planning.parallelism import check, check_all, context_parallel_faults, layouts
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import m2_shape

OLD, NEW = "0.28.0", "0.29.0"


def why(shape: ModelShape, layout: Layout, version: str = OLD, gpus: int = 8) -> str:
    return "; ".join(check(shape, layout, gpus, version).reasons)


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_check_accepts_m2_with_tp_1_2_and_4(tp: int) -> None:
    assert check(m2_shape(), Layout(tp), 8, OLD).valid is True


def test_check_rejects_half_a_quantization_block() -> None:
    assert why(m2_shape(), Layout(8)) == (
        "TP8: expert intermediate 1536/8 = 192 is not divisible by the fp8 block of 128"
        " (vLLM 0.28.0; valid from 0.29)"
    )


def test_check_accepts_whole_experts_with_ep() -> None:
    assert check(m2_shape(), Layout(8, ep=8), 8, "0.11.1").valid is True


def test_check_accepts_refined_blocks_from_029() -> None:
    assert check(m2_shape(), Layout(8), 8, NEW).valid is True
    assert check(m2_shape(), Layout(16, nodes=2), 8, NEW).valid is True
    narrow = replace(m2_shape(), expert_intermediate=16 * 72)
    assert "gcd(72, 128) = 8 is below 32" in why(narrow, Layout(16, nodes=2), NEW)


def test_check_splits_experts_over_all_ranks_without_ep() -> None:
    assert "TP2 x DP4 without EP: expert intermediate 1536/8 = 192" in why(m2_shape(), Layout(2, dp=4))


def test_check_rejects_heads_that_do_not_divide() -> None:
    assert "TP5: 48 attention heads / 5 = 9.6, not a whole number" in why(m2_shape(), Layout(5))


def test_check_accepts_kv_heads_that_divide_or_are_copied() -> None:
    assert "TP3: 8 KV heads / 3 = 2.66667, not a whole number" in why(m2_shape(), Layout(3))
    assert check(m2_shape(), Layout(16, ep=16, nodes=2), 8, OLD).valid is True  # each KV head twice
    assert "TP12: 12 / 8 KV heads = 1.5 copies" in why(m2_shape(), Layout(12, ep=12, nodes=2))


def test_check_ignores_kv_heads_of_mla() -> None:
    assert check(replace(m2_shape(), kv_heads=1, mla_rank=512), Layout(4), 8, OLD).valid is True


def test_check_rejects_a_padded_vocabulary_that_does_not_divide() -> None:
    assert "TP3: 64 rows of padded vocabulary / 3 = 21.3" in why(ModelShape(vocabulary=50), Layout(3))


def test_check_rejects_more_expert_ranks_than_experts() -> None:
    assert "EP8: 4 experts leave 4 ranks without one" in why(
        replace(m2_shape(), experts=4), Layout(dp=8, ep=8)
    )


def test_check_rejects_a_dense_mlp_with_partial_groups() -> None:
    dense = ModelShape(heads=32, kv_heads=8, dense_intermediate=1536, precision="int4", block=128)
    assert "MLP intermediate 1536/8 = 192 is not divisible by the int4 block of 128" in why(
        dense, Layout(8), NEW
    )


def test_check_rejects_more_gpus_than_available() -> None:
    assert "TP2 x PP1 x DP8 = 16 GPUs, but 1 node of 8 have 8" in why(m2_shape(), Layout(2, dp=8, ep=16))


def test_a_replica_spans_nodes_from_029() -> None:
    spread = Layout(16, dp=2, ep=32, nodes=4)
    assert "must fit a node of 8 under DP (vLLM 0.11 to 0.28)" in why(m2_shape(), spread)
    assert check(m2_shape(), spread, 8, NEW).valid is True
    uneven = Layout(4, pp=3, dp=2, nodes=3)
    assert "a replica of 4 x 3 = 12 GPUs under DP must fill whole nodes of 8" in why(m2_shape(), uneven, NEW)


def test_check_without_a_shape_is_undecided() -> None:
    assert check(None, Layout(8), 8, OLD).valid is None
    assert check(ModelShape(experts=8, heads=8), Layout(2), 8, OLD).valid is None


def test_check_all_checks_every_layout_on_all_gpus() -> None:
    checks = check_all(m2_shape(), 8, 1, OLD)
    assert len(checks) == len({c.layout for c in checks}) == 19
    assert [c.layout.name for c in checks if not c.valid] == ["DP8", "TP2xDP4", "TP4xDP2", "TP8"]


def test_context_parallel_faults_rejects_sizes_that_do_not_divide_tp() -> None:
    assert context_parallel_faults(8, 8) == ()
    assert context_parallel_faults(4, 8) == ("TP4 / decode context parallel 8 = 0.5, not a whole number",)


@given(st.integers(1, 64), st.integers(1, 4))
def test_layouts_use_all_gpus(total: int, nodes: int) -> None:
    all_layouts = list(layouts(total * nodes, nodes, m2_shape()))
    assert all(layout.gpus == total * nodes for layout in all_layouts)
    assert len(all_layouts) == len(set(all_layouts))


@given(st.integers(1, 128), st.integers(1, 128), st.integers(1, 16), st.sampled_from([OLD, NEW]))
def test_check_accepts_only_layouts_that_divide_evenly(heads: int, width: int, tp: int, version: str) -> None:
    shape = ModelShape(
        layers=2, heads=heads, kv_heads=heads, dense_intermediate=width * 16, precision="fp8", block=32
    )
    if check(shape, Layout(tp), 16, version).valid:
        assert heads % tp == 0
        assert (width * 16) % tp == 0
