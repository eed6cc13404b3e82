"""The weights of one rank: measured or computed, split by the layout, with the padding that kernels need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.planning.weight_size import GIB, elements, padded, weight_bytes, weights_gib
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import m2_shape


def test_the_weights_of_m2_are_214_gib_with_209_gib_of_experts() -> None:
    found = weight_bytes(m2_shape())
    assert found is not None
    assert (found.dense + found.experts) / GIB == pytest.approx(214, abs=1)
    assert found.experts == 62 * 256 * 3 * 3072 * 1536


def test_with_dp_and_ep_a_rank_has_the_attention_and_a_share_of_the_experts() -> None:
    assert weights_gib(m2_shape(), Layout(dp=8, ep=8)) == pytest.approx(5.0 + 209.25 / 8, abs=0.1)


def test_measured_weights_are_preferred() -> None:
    measured = replace(m2_shape(), weight_bytes=100 * GIB, expert_bytes=80 * GIB)
    assert weights_gib(measured, Layout(tp=2)) == 50
    assert weights_gib(measured, Layout(dp=2, ep=2)) == 20 + 40


def test_computed_experts_are_at_most_the_measured_total() -> None:
    """A format that is not known, or more of them than the config says, must not double the model."""
    measured = replace(m2_shape(), weight_bytes=100 * GIB)
    assert weights_gib(measured, Layout()) == 100
    assert weights_gib(measured, Layout(8)) == 100 / 8
    odd = replace(measured, precision="fancy4")
    assert weights_gib(odd, Layout(4)) == 25


def test_pipeline_stages_share_the_layers() -> None:
    whole = weights_gib(m2_shape(), Layout())
    assert whole is not None
    assert weights_gib(m2_shape(), Layout(pp=2)) == pytest.approx(whole / 2, rel=0.02)


def test_mxfp4_experts_are_padded_to_whole_tiles() -> None:
    shape = ModelShape(experts=32, expert_intermediate=2880, precision="mxfp4")
    assert padded(shape, Layout(), 2880) == 3072
    assert padded(shape, Layout(8), 2880) == 8 * 512
    assert padded(shape, Layout(8, ep=8), 2880) == 3072
    assert padded(replace(shape, precision="fp8"), Layout(8), 2880) == 2880


def test_mxfp4_experts_count_with_the_larger_padding_of_two_kernels() -> None:
    shape = ModelShape(experts=32, expert_intermediate=2880, hidden=2880, precision="mxfp4")
    assert padded(shape, Layout(), 2880 * 2880) == pytest.approx(2944 * 3072)
    assert padded(replace(shape, hidden=4096), Layout(), 2880) == pytest.approx(3072)


def test_a_draft_in_the_checkpoint_counts_only_if_it_is_loaded() -> None:
    shape = replace(m2_shape(), mtp_layers=1)
    without, loaded = (weights_gib(shape, Layout(), draft) for draft in (False, True))
    assert without == pytest.approx(weights_gib(m2_shape(), Layout()))
    assert loaded is not None
    assert without is not None
    assert loaded - without == pytest.approx(214 / 62, rel=0.05)


def test_parts_that_are_not_quantized_have_the_models_type() -> None:
    fp8, mixed = (weight_bytes(replace(m2_shape(), plain=plain)) for plain in ((), ("attention",)))
    parts = elements(m2_shape())
    assert fp8
    assert mixed
    assert parts
    assert mixed.dense - fp8.dense == parts["attention"]
    assert mixed.experts == fp8.experts


def test_a_tied_embedding_is_counted_once() -> None:
    shape = ModelShape(
        layers=1, hidden=8, heads=2, kv_heads=2, head_dim=4, vocabulary=100, dense_intermediate=16
    )
    two, one = elements(shape), elements(replace(shape, tied_embeddings=True))
    assert two
    assert one
    assert sum(two.values()) - sum(one.values()) == 800


@pytest.mark.parametrize(
    "shape",
    [
        replace(m2_shape(), hidden=None),
        replace(m2_shape(), layers=None),
        replace(m2_shape(), vocabulary=None),
        replace(m2_shape(), expert_intermediate=None),
    ],
)
def test_a_missing_number_makes_the_weights_unknown(shape: ModelShape) -> None:
    assert weights_gib(shape, Layout()) is None
