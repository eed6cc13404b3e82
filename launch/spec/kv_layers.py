"""The KV cache of a model's layers, from its config.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launch.spec import layers
from launch.spec.layers import CHUNKED, FULL, SLIDING, STATE, LayerGroup
from launch.spec.state_layers import StateLayer

# Bytes of a token's key in the cache of a sparse indexer: index_head_dim in fp8, and a float32 scale for 128 of them
# (Indexer in vllm/model_executor/models/deepseek_v2.py).
INDEX_BLOCK, SCALE = 128, 4
FP8_MLA = 656  # bytes of a token in the format fp8_ds_mla (MLAAttention.get_kv_cache_spec)
# DeepSeek-V4 (vllm/models/deepseek_v4): bytes of an entry, and the float32 state of its compressors.
V4_ENTRY, FLOAT32 = 584, 4


def kv_layers(config: Mapping[str, Any], count: int, state: StateLayer | None) -> tuple[LayerGroup, ...]:
    """Return the groups of layers that keep something for a request. Raises layers.UnknownLayers."""
    if config.get("compress_ratios"):
        return tuple(_compressed(config, count))
    found = layers.group(layers.kinds(config, count)[: count - _shared(config)])
    if found.get(STATE) and state is None:
        raise layers.UnknownLayers("the size of the state of its layers without attention")
    return tuple(_groups(config, found, state))


def _groups(
    config: Mapping[str, Any], found: Mapping[str, int], state: StateLayer | None
) -> Iterator[LayerGroup]:
    window, chunk = _int(config, "sliding_window"), _int(config, "attention_chunk_size")
    windowed = found.get(SLIDING, 0)
    full = found.get(FULL, 0) + (0 if window else windowed) + (0 if chunk else found.get(CHUNKED, 0))
    if full:
        yield _full(config, full, bool(windowed and window))
    if windowed and window:
        yield LayerGroup(
            SLIDING,
            windowed,
            window,
            _int(config, "swa_num_key_value_heads"),
            _int(config, "swa_head_dim"),
            _int(config, "swa_v_head_dim"),
        )
    if found.get(CHUNKED) and chunk:
        yield LayerGroup(CHUNKED, found[CHUNKED], chunk)
    if found.get(STATE) and state:
        yield LayerGroup(STATE, found[STATE], state_bytes=state.bytes)
    if _int(config, "index_topk") and _int(config, "kv_lora_rank"):
        yield LayerGroup(FULL, _indexed(config, full), entry_bytes=index_bytes(config))
    sparse = config.get("sparse_attention_config")
    if isinstance(sparse, Mapping) and sparse.get("use_sparse_attention"):
        yield _block_index(sparse, full)


def _block_index(sparse: Mapping[str, Any], full: int) -> LayerGroup:
    """Return the keys of the block indexer of MiniMax-M3, in 16 bits (vllm/models/minimax_m3/common/indexer.py)."""
    layers_with = sparse.get("sparse_attention_freq")
    count = sum(map(bool, layers_with)) if isinstance(layers_with, list) else full
    return LayerGroup(
        FULL, min(count, full), entry_bytes=2.0 * (_int(sparse, "sparse_index_dim") or INDEX_BLOCK)
    )


def _full(config: Mapping[str, Any], count: int, among_windows: bool) -> LayerGroup:
    """Return the layers that keep every token; among windows, Gemma 4 gives them heads of another size."""
    heads, dim = _int(config, "num_global_key_value_heads"), _int(config, "global_head_dim")
    value = None if _int(config, "kv_lora_rank") else _int(config, "v_head_dim")
    return LayerGroup(FULL, count, 0, heads if among_windows else None, dim if among_windows else None, value)


def _indexed(config: Mapping[str, Any], count: int) -> int:
    """Return the number of layers that have an indexer of their own; others reuse the indices of one before."""
    pattern, every = config.get("index_topk_pattern"), _int(config, "index_topk_freq") or 1
    if isinstance(pattern, (str, list)):
        return sum(mark != "S" for mark in pattern[:count])
    return -(-count // every)


def index_bytes(config: Mapping[str, Any]) -> float:
    """Return the bytes of a token in the cache of a sparse indexer."""
    dim = _int(config, "index_head_dim") or INDEX_BLOCK
    return dim + -(-dim // INDEX_BLOCK) * SCALE


def _shared(config: Mapping[str, Any]) -> int:
    """Return the number of last layers that use the cache of an earlier one (gemma3n.py, gemma4.py)."""
    return _int(config, "num_kv_shared_layers") or 0


def _compressed(config: Mapping[str, Any], count: int) -> Iterator[LayerGroup]:
    """Yield the caches of DeepSeek-V4: windows, compressed entries, their index, and the state of the compressors."""
    ratios = [ratio for ratio in config["compress_ratios"][:count] if isinstance(ratio, int)]
    head, index = _int(config, "head_dim") or 512, _int(config, "index_head_dim") or INDEX_BLOCK
    yield LayerGroup(SLIDING, len(ratios), _int(config, "sliding_window") or 128, entry_bytes=V4_ENTRY)
    for ratio in sorted({ratio for ratio in ratios if ratio > 1}):
        number, twice = ratios.count(ratio), 2 if ratio == 4 else 1
        yield LayerGroup(FULL, number, entry_bytes=V4_ENTRY, ratio=ratio)
        yield LayerGroup(SLIDING, number, twice * ratio, entry_bytes=2 * twice * head * FLOAT32)
        if ratio == 4:
            yield LayerGroup(FULL, number, entry_bytes=index_bytes(config), ratio=ratio)
            yield LayerGroup(SLIDING, number, twice * ratio, entry_bytes=2 * twice * index * FLOAT32)


def _int(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if type(value) is int and 0 < value <= layers.LARGEST else None
