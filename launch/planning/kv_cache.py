"""The KV cache of one rank: blocks, and what one request takes of them, by the rules of vLLM for each kind of layer.

Layers with a window keep it and the tokens in flight; a state has a fixed number of pages. Models with several kinds
share one pool of equal blocks (vllm/v1/core/kv_cache_utils.py and vllm/v1/kv_cache_interface.py, vLLM 0.32.0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from launch.spec.layers import FULL, SLIDING, STATE, LayerGroup
from launch.spec.model_config import BYTES, ModelShape
from launch.spec.plan import Layout

BLOCK = 16  # tokens, CacheConfig.DEFAULT_BLOCK_SIZE
STATE_PAGES = 2  # of a request with prefix caching (mamba_cache_mode "align"); 1 without
FP8_MLA = 656  # bytes of a token in the format fp8_ds_mla, which sparse MLA uses for fp8
WIDTHS = {
    "fp8": 1.0,
    "int8": 1.0,
    "nvfp4": 0.5625,
    "int4": 0.5,
    "bfloat16": 2.0,
    "float16": 2.0,
    "float32": 4.0,
}
# Caches with entries of many sizes (DeepSeek-V4) share blocks that none fills. The share that is used, from two
# published starts (8x RTX PRO 5000 at 256,000 tokens, 2x H200 at 262,144).
PACKED = 0.92


@dataclass(frozen=True)
class Cache:
    """Equal layers on one rank. `entry` is the bytes of a token, or of the state of a request."""

    kind: str
    layers: int
    entry: float
    window: int = 0
    ratio: int = 1


@dataclass(frozen=True)
class Limits:
    """What of the server's options the cache depends on. `in_flight`: tokens that are scheduled and not yet settled."""

    kv_dtype: str = "auto"
    block: int = BLOCK
    in_flight: int = 0
    state_pages: int = STATE_PAGES
    draft_layers: int = 0  # layers of a draft model, which keep every token


@dataclass(frozen=True)
class Pool:
    """Blocks of `block_bytes`, shared by groups of layers: (kind, tokens of a block, window)."""

    block_bytes: float
    groups: tuple[tuple[str, int, int], ...]
    limits: Limits
    packed: tuple[Cache, ...] = ()

    def blocks_of(self, context: int) -> float:
        """Return the blocks that one request of this context takes."""
        if self.packed:
            return sum(cache.layers * self._packed_bytes(cache, context) for cache in self.packed) / PACKED
        return sum(self._blocks(kind, block, window, context) for kind, block, window in self.groups)

    def _blocks(self, kind: str, block: int, window: int, context: int) -> int:
        if kind == STATE:
            return self.limits.state_pages
        if kind == FULL:
            return ceil(context / block)
        kept = window + self.limits.in_flight - (1 if kind == SLIDING else 0)
        return ceil(min(kept, context) / block) + (1 if kind == SLIDING else 0)

    def _packed_bytes(self, cache: Cache, context: int) -> float:
        if cache.kind == FULL:
            return ceil(context / cache.ratio) * cache.entry
        return min(cache.window - 1 + self.limits.in_flight, context) * cache.entry

    def tokens(self, gib_bytes: float, context: int) -> int:
        """Return the tokens of requests of this context, as vLLM prints them ("GPU KV cache size")."""
        blocks = gib_bytes // self.block_bytes
        each = self.blocks_of(context)
        return int(blocks / each * context) if blocks > 0 and each else 0

    def longest(self, gib_bytes: float) -> int:
        """Return the longest context of one request; vLLM keeps one block back."""
        blocks = gib_bytes // self.block_bytes - (0 if self.packed else 1)
        if len(self.groups) == 1 and self.groups[0][0] == FULL:
            return max(0, int(blocks)) * self.groups[0][1]
        low, high = 0, 1
        while self.blocks_of(high) <= blocks and high < 1 << 40:
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.blocks_of(middle) <= blocks else (low, middle)
        return low


def pool_of(shape: ModelShape, layout: Layout, limits: Limits) -> Pool | None:
    """Return the pool of one rank; None if the cache of the model is not known."""
    caches = _with_draft(caches_of(shape, layout, limits.kv_dtype), limits)
    if not caches:
        return None
    if any(cache.ratio > 1 for cache in caches):
        return Pool(1.0, (), limits, caches)
    alike = {(cache.kind, cache.window) for cache in caches}
    if len(alike) == 1 and all(kind != STATE for kind, _ in alike):
        kind, window = alike.pop()
        size = sum(cache.layers * cache.entry for cache in caches) * limits.block
        return Pool(size, ((kind, limits.block, window),), limits)
    return _shared_pool(caches, limits)


def _with_draft(caches: tuple[Cache, ...], limits: Limits) -> tuple[Cache, ...]:
    """Return the caches with those of a draft model, whose layers are like the first that keep every token."""
    first = next((index for index, cache in enumerate(caches) if cache.kind == FULL), None)
    if first is None or not limits.draft_layers:
        return caches
    longer = replace(caches[first], layers=caches[first].layers + limits.draft_layers)
    return (*caches[:first], longer, *caches[first + 1 :])


def _shared_pool(caches: tuple[Cache, ...], limits: Limits) -> Pool:
    """Return the pool of a model with several kinds: pages of one size, and groups with equally many layers."""
    block = _block(caches, limits.block)
    page = max(cache.entry * (1 if cache.kind == STATE else block) for cache in caches)
    counts: dict[tuple[str, int, int], int] = {}
    for cache in caches:
        key = (cache.kind, _tokens(cache, block, page), cache.window)
        counts[key] = counts.get(key, 0) + cache.layers
    fewest, most = min(counts.values()), max(counts.values())
    size = most if most < 1.5 * fewest else fewest
    groups = tuple(key for key, layers in counts.items() for _ in range(ceil(layers / size)))
    return Pool(size * page, groups, limits)


def _block(caches: tuple[Cache, ...], block: int) -> int:
    """Return the tokens of a block: enough that a page of attention holds a state (_align_hybrid_block_size)."""
    states = [cache.entry for cache in caches if cache.kind == STATE]
    entries = [cache.entry for cache in caches if cache.kind != STATE]
    if not states or not entries:
        return block
    return max(block, BLOCK * ceil(max(states) / (BLOCK * min(entries))))


def _tokens(cache: Cache, block: int, page: float) -> int:
    """Return the tokens in a page of the common size: more if the page is a multiple, else it is padded."""
    own = cache.entry * block
    if cache.kind == STATE or page % own:
        return block
    return int(block * (page // own))


def caches_of(shape: ModelShape, layout: Layout, kv_dtype: str = "auto") -> tuple[Cache, ...]:
    """Return the caches of one rank, empty if a number of the shape is missing."""
    groups = shape.attention or ((LayerGroup(FULL, shape.layers),) if shape.layers else ())
    if shape.unknown or not groups:
        return ()
    found = [_cache(shape, group, layout, kv_dtype) for group in groups]
    return tuple(cache for cache in found if cache) if all(found) else ()


def _cache(shape: ModelShape, group: LayerGroup, layout: Layout, kv_dtype: str) -> Cache | None:
    layers = ceil(group.layers / layout.pp)
    if group.kind == STATE:
        return Cache(STATE, layers, group.state_bytes / layout.tp)
    if group.entry_bytes:
        return Cache(group.kind, layers, group.entry_bytes, group.window, group.ratio)
    width = kv_width(shape, kv_dtype)
    if width is None:
        return None
    if shape.mla_rank is not None and group.kv_heads is None:
        return Cache(group.kind, layers, _latent(shape, width), group.window)
    heads, dim = group.kv_heads or shape.kv_heads, group.head_dim or shape.head_dim
    if not heads or not dim:
        return None
    value = group.value_dim or dim
    return Cache(group.kind, layers, max(1.0, heads / layout.tp) * (dim + value) * width, group.window)


def _latent(shape: ModelShape, width: float) -> float:
    """Return the bytes of the latent vector of a token; with a sparse indexer, fp8 has a format of its own."""
    sparse = any(group.entry_bytes for group in shape.attention)
    if sparse and width == 1.0:
        return FP8_MLA
    return ((shape.mla_rank or 0) + shape.mla_rope) * width


def kv_width(shape: ModelShape, kv_dtype: str = "auto") -> float | None:
    """Return the bytes of one cached number; `auto` is what the checkpoint asks for, else its dtype."""
    name = (shape.kv_dtype or shape.dtype) if kv_dtype == "auto" else kv_dtype
    known = next((width for prefix, width in WIDTHS.items() if name.startswith(prefix)), None)
    return known if known is not None else BYTES.get(name)


def bytes_per_token(shape: ModelShape, layout: Layout, kv_dtype: str = "auto") -> float | None:
    """Return the bytes that each further token of a request takes on one rank; None if they are not known."""
    caches = caches_of(shape, layout, kv_dtype)
    if not caches:
        return None
    return sum(cache.layers * cache.entry / cache.ratio for cache in caches if cache.kind == FULL)


__all__ = [
    "BLOCK",
    "Cache",
    "Limits",
    "Pool",
    "bytes_per_token",
    "caches_of",
    "kv_width",
    "pool_of",
]
