"""Legality with its arithmetic, by the rules that vLLM itself checks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.planning.parallelism import context_parallel, judge, layouts, name, verdicts
from launch.spec.model_config import Shape
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import m2_shape

OLD, NEW = "0.28.0", "0.29.0"


def why(shape: Shape, layout: Layout, version: str = OLD, gpus: int = 8) -> str:
    return "; ".join(judge(shape, layout, gpus, version).reasons)


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_m2_runs_tensor_parallel_on_one_two_and_four(tp):
    assert judge(m2_shape(), Layout(tp), 8, OLD).legal is True


def test_m2_on_eight_has_half_a_block_on_each_rank():
    assert why(m2_shape(), Layout(8)) == (
        "TP8: expert intermediate 1536/8 = 192 is not divisible by the fp8 block of 128"
        " (vLLM 0.28.0; legal from 0.29)"
    )


def test_whole_experts_are_not_cut():
    assert judge(m2_shape(), Layout(8, ep=8), 8, "0.11.1").legal is True


def test_from_029_the_block_is_refined():
    assert judge(m2_shape(), Layout(8), 8, NEW).legal is True
    assert judge(m2_shape(), Layout(16, nodes=2), 8, NEW).legal is True
    narrow = replace(m2_shape(), expert_intermediate=16 * 72)
    assert "gcd(72, 128) = 8 is below 32" in why(narrow, Layout(16, nodes=2), NEW)


def test_data_parallel_without_ep_cuts_experts_over_all_ranks():
    assert "TP2 x DP4 without EP: expert intermediate 1536/8 = 192" in why(m2_shape(), Layout(2, dp=4))


def test_attention_heads_must_divide():
    assert "TP5: 48 attention heads / 5 = 9.6, not a whole number" in why(m2_shape(), Layout(5))


def test_kv_heads_divide_or_are_copied():
    assert "TP3: 8 KV heads / 3 = 2.66667, not a whole number" in why(m2_shape(), Layout(3))
    assert judge(m2_shape(), Layout(16, ep=16, nodes=2), 8, OLD).legal is True  # each KV head twice
    assert "TP12: 12 / 8 KV heads = 1.5 copies" in why(m2_shape(), Layout(12, ep=12, nodes=2))


def test_an_mla_vector_has_no_heads_to_divide():
    assert judge(replace(m2_shape(), kv_heads=1, mla_rank=512), Layout(4), 8, OLD).legal is True


def test_the_padded_vocabulary_must_divide():
    assert "TP3: 64 rows of padded vocabulary / 3 = 21.3" in why(Shape(vocabulary=50), Layout(3))


def test_more_experts_ranks_than_experts():
    assert "EP8: 4 experts leave 4 ranks without one" in why(
        replace(m2_shape(), experts=4), Layout(dp=8, ep=8)
    )


def test_a_dense_mlp_is_cut_in_whole_groups():
    dense = Shape(heads=32, kv_heads=8, dense_intermediate=1536, precision="int4", block=128)
    assert "MLP intermediate 1536/8 = 192 is not divisible by the int4 block of 128" in why(
        dense, Layout(8), NEW
    )


def test_gpus_used_are_gpus_there():
    assert "TP2 x PP1 x DP8 = 16 GPUs, but 1 node(s) of 8 have 8" in why(m2_shape(), Layout(2, dp=8, ep=16))
    assert "must fit a node of 8 under DP" in why(m2_shape(), Layout(16, dp=2, ep=32, nodes=4))


def test_no_shape_no_verdict():
    assert judge(None, Layout(8), 8, OLD).legal is None
    assert judge(Shape(experts=8, heads=8), Layout(2), 8, OLD).legal is None


def test_every_layout_that_uses_all_gpus_is_judged():
    judged = verdicts(m2_shape(), 8, 1, OLD)
    assert len(judged) == len({v.layout for v in judged}) == 19
    assert [name(v.layout) for v in judged if not v.legal] == ["DP8", "TP2xDP4", "TP4xDP2", "TP8"]


def test_decode_context_parallelism_divides_tp():
    assert context_parallel(8, 8) == ()
    assert context_parallel(4, 8) == ("TP4 / decode context parallel 8 = 0.5, not a whole number",)


@given(st.integers(1, 64), st.integers(1, 4))
def test_layouts_use_exactly_the_gpus(total, nodes):
    found = list(layouts(total * nodes, nodes, m2_shape()))
    assert all(layout.gpus == total * nodes for layout in found)
    assert len(found) == len(set(found))


@given(st.integers(1, 128), st.integers(1, 128), st.integers(1, 16), st.sampled_from([OLD, NEW]))
def test_a_legal_layout_cuts_nothing_in_pieces(heads, width, tp, version):
    shape = Shape(
        layers=2, heads=heads, kv_heads=heads, dense_intermediate=width * 16, precision="fp8", block=32
    )
    if judge(shape, Layout(tp), 16, version).legal:
        assert heads % tp == 0
        assert (width * 16) % tp == 0
