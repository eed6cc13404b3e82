"""The KV cache of a rank for each kind of layer, against arithmetic that can be done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.planning.kv_cache import Limits, Pool, bytes_per_token, kv_width, pool_of
from launch.spec.layers import CHUNKED, FULL, SLIDING, STATE, LayerGroup
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from tests.unit.launch.plan_builders import m2_shape

SMALL = ModelShape(layers=4, kv_heads=8, head_dim=128)
TOKEN = 2 * 8 * 128 * 2  # bytes of a token in one layer of SMALL


def pool(shape: ModelShape, layout: Layout | None = None, **limits: object) -> Pool:
    found = pool_of(shape, layout or Layout(), Limits(**limits))  # type: ignore[arg-type]
    assert found is not None
    return found


def of(*groups: LayerGroup) -> ModelShape:
    return replace(SMALL, layers=sum(group.layers for group in groups), attention=groups)


def test_bytes_per_token_of_m2() -> None:
    assert bytes_per_token(m2_shape(), Layout()) == 253_952
    assert bytes_per_token(m2_shape(), Layout(tp=4)) == 253_952 / 4
    assert bytes_per_token(m2_shape(), Layout(tp=16)) == 253_952 / 8  # eight heads on sixteen ranks: copies
    assert bytes_per_token(m2_shape(), Layout(), "fp8") == 253_952 / 2
    assert bytes_per_token(m2_shape(), Layout(pp=2)) == 253_952 / 2


def test_bytes_per_token_of_mla_is_not_split_by_tp() -> None:
    mla = ModelShape(layers=61, mla_rank=512, mla_rope=64)
    assert bytes_per_token(mla, Layout(tp=8)) == 61 * 576 * 2


def test_a_sparse_indexer_adds_its_keys_and_gives_fp8_another_format() -> None:
    sparse = ModelShape(
        layers=61,
        mla_rank=512,
        mla_rope=64,
        attention=(LayerGroup(FULL, 61), LayerGroup(FULL, 61, entry_bytes=132)),
    )
    assert bytes_per_token(sparse, Layout(tp=8)) == 61 * (576 * 2 + 132)
    assert bytes_per_token(sparse, Layout(), "fp8") == 61 * (656 + 132)


def test_layers_that_keep_every_token_fill_whole_blocks() -> None:
    full = pool(SMALL)
    assert full.block_bytes == 16 * 4 * TOKEN
    assert full.blocks_of(17) == 2
    assert full.tokens(10 * full.block_bytes, 32) == 160
    assert full.longest(10 * full.block_bytes) == 144  # one block is kept back


def test_a_window_keeps_its_tokens_and_those_in_flight() -> None:
    mixed = pool(of(LayerGroup(FULL, 2), LayerGroup(SLIDING, 2, window=1024)), in_flight=2048)
    assert mixed.block_bytes == 16 * 2 * TOKEN
    assert mixed.blocks_of(64) == 4 + 4 + 1
    assert mixed.blocks_of(16000) == 1000 + (1023 + 2048 + 15) // 16 + 1


def test_a_chunk_keeps_at_most_its_tokens() -> None:
    mixed = pool(of(LayerGroup(FULL, 1), LayerGroup(CHUNKED, 3, window=8192)))
    assert mixed.blocks_of(16384) == 1024 + 3 * 512


def test_a_state_takes_a_fixed_number_of_pages_and_sets_the_block() -> None:
    hybrid = of(LayerGroup(FULL, 1), LayerGroup(STATE, 3, state_bytes=100 * TOKEN))
    pages = pool(hybrid, state_pages=2)
    assert pages.block_bytes == 112 * TOKEN  # seven blocks of 16 tokens hold a state of 100
    assert pages.blocks_of(1120) == 10 + 3 * 2
    assert pages.blocks_of(2240) == 20 + 3 * 2


def test_states_alone_have_a_pool_without_tokens() -> None:
    states = pool(of(LayerGroup(STATE, 4, state_bytes=4096)), state_pages=1)
    assert states.blocks_of(100) == states.blocks_of(100_000) == 1


def test_tensor_parallelism_divides_a_state() -> None:
    hybrid = of(LayerGroup(FULL, 1), LayerGroup(STATE, 3, state_bytes=128 * TOKEN))
    assert pool(hybrid, Layout(8)).block_bytes == pool(hybrid).block_bytes / 8


def test_a_window_may_have_heads_of_its_own() -> None:
    shape = of(LayerGroup(FULL, 1), LayerGroup(SLIDING, 5, 128, kv_heads=16, head_dim=192, value_dim=128))
    assert bytes_per_token(shape, Layout()) == TOKEN
    assert pool(shape).blocks_of(128) > 0


def test_compressed_entries_cover_several_tokens() -> None:
    packed = of(LayerGroup(SLIDING, 2, 128, entry_bytes=584), LayerGroup(FULL, 2, entry_bytes=584, ratio=4))
    assert bytes_per_token(packed, Layout(8)) == 2 * 584 / 4
    far, near = pool(packed).blocks_of(400_000), pool(packed).blocks_of(200_000)
    assert far - near == pytest.approx(2 * 50_000 * 584 / 0.92)


def test_a_draft_model_keeps_tokens_too() -> None:
    assert pool(SMALL, draft_layers=1).block_bytes == pool(SMALL).block_bytes * 5 / 4


@pytest.mark.parametrize(
    ("asked", "own", "width"),
    [
        ("auto", "", 2.0),
        ("auto", "fp8", 1.0),
        ("fp8_e4m3", "", 1.0),
        ("bfloat16", "fp8", 2.0),
        ("odd", "", None),
    ],
)
def test_the_kv_cache_has_the_type_that_is_asked_for(asked: str, own: str, width: float | None) -> None:
    assert kv_width(ModelShape(kv_dtype=own), asked) == width


def test_an_unknown_cache_has_no_pool() -> None:
    assert pool_of(replace(SMALL, unknown="why"), Layout(), Limits()) is None
    assert pool_of(ModelShape(), Layout(), Limits()) is None
    assert pool_of(replace(SMALL, kv_heads=None), Layout(), Limits()) is None


@given(
    window=st.integers(1, 5000),
    full=st.integers(1, 60),
    sliding=st.integers(1, 60),
    context=st.integers(1, 10**6),
    blocks=st.integers(0, 10**5),
)
def test_a_longer_context_takes_more_and_the_longest_fits(
    window: int, full: int, sliding: int, context: int, blocks: int
) -> None:
    mixed = pool(of(LayerGroup(FULL, full), LayerGroup(SLIDING, sliding, window=window)), in_flight=512)
    assert mixed.blocks_of(context) <= mixed.blocks_of(context + 1)
    longest = mixed.longest(blocks * mixed.block_bytes)
    assert longest == 0 or mixed.blocks_of(longest) <= blocks - 1 < mixed.blocks_of(longest + 16)
