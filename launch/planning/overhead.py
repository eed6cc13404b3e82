"""Estimate the memory of a GPU that is neither weights nor KV cache, by its causes. Coefficients: `overhead.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from packaging.version import Version

from launch.checked_data.data_file import load
from launch.spec.model_config import ModelShape

GIB = 2**30
FLOAT32, FLOAT16 = 4, 2  # bytes
# Keys of each token in the workspace of a sparse indexer (get_max_prefill_buffer_size in
# vllm/v1/attention/backends/mla/indexer.py, 0.32.0: 1152 // 132 times sparse_mla_prefill_workspace_factor, which is 5).
INDEXER_ROWS = 40


@dataclass(frozen=True)
class Links:
    """GiB of communication buffers by the connection of the GPUs."""

    fast: float
    pcie: float
    amd: float


@dataclass(frozen=True)
class Sampler:
    """Copies of the logits at the peak of sampling, by version, and on AMD."""

    before: float
    since: float
    amd: float


@dataclass(frozen=True)
class Coefficients:
    """The part of overhead.yaml that is fitted."""

    context: float
    links: Links
    sampler: Sampler
    forward: float
    graphs: float
    vision: float


@dataclass(frozen=True)
class Batch:
    """vLLM's default batch on cards of at least `from_gib`."""

    from_gib: float
    tokens: int
    sequences: int
    since: str = "0"


@dataclass(frozen=True)
class Errors:
    """By how many GiB the KV cache of a published start differed at most from its estimate, by the kind of server."""

    amd: float
    encoder: float
    latent: float
    several: float
    one: float


@dataclass(frozen=True)
class Table:
    """The content of overhead.yaml."""

    coefficients: Coefficients
    error_gib: float
    errors: Errors
    sampler_since: str
    graphs_since: str
    video_tokens: int
    video_until: str
    batches: tuple[Batch, ...]
    small_batches: tuple[str, ...]
    in_flight: int
    in_flight_since: str


@cache
def table() -> Table:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), Table)


@dataclass(frozen=True)
class Server:
    """What of a server its other memory depends on. Version "": the newest."""

    brand: str
    fast_links: bool
    ranks: int
    sequences: int
    batched_tokens: int
    version: str = ""
    graphs: bool = True
    vision: bool = True
    context: int = 0  # tokens of the longest request


def batch_of(hardware: str, memory_gib: float, version: str) -> Batch:
    """Return the default batch of this vLLM on a card of this kind and memory."""
    rows = [row for row in table().batches if _since(version, row.since)]
    small = hardware in table().small_batches
    return next(row for row in rows if memory_gib >= row.from_gib and (not small or not row.from_gib))


def in_flight(batched_tokens: int, version: str) -> int:
    """Return the tokens of a request that can be scheduled and not yet settled."""
    return batched_tokens * (table().in_flight if _since(version, table().in_flight_since) else 1)


def overhead(shape: ModelShape, server: Server, fitted: Coefficients | None = None) -> dict[str, float]:
    """Return the GiB of each cause on one GPU."""
    c = fitted or table().coefficients
    logits = server.sequences * (shape.vocabulary or 0) * FLOAT32 / GIB
    hidden = server.batched_tokens * (shape.hidden or 0) * FLOAT16 / GIB
    return {
        "context": c.context,
        "communication": _links(c.links, server) if server.ranks > 1 else 0.0,
        "activations": max(_copies(c.sampler, server) * logits, c.forward * hidden),
        "graphs": c.graphs if server.graphs and _since(server.version, table().graphs_since) else 0.0,
        "indexer": INDEXER_ROWS * server.context * indexer_bytes(shape) / GIB,
        "vision": max(c.vision, _video(shape, server)) if server.vision and shape.vision_weights else 0.0,
    }


def _video(shape: ModelShape, server: Server) -> float:
    """Return the GiB of the outputs of an encoder that keeps several, for the video that old versions measure with."""
    if shape.vision_outputs < 2 or _since(server.version, table().video_until):
        return 0.0
    return table().video_tokens * shape.vision_outputs * (shape.hidden or 0) * FLOAT16 / GIB


def indexer_bytes(shape: ModelShape) -> float:
    """Return the bytes of a token's key of a sparse indexer of latent vectors; 0 without one."""
    if not shape.is_mla or any(layers.ratio > 1 for layers in shape.attention):
        return 0.0
    return max((layers.entry_bytes for layers in shape.attention), default=0.0)


def kind_of(shape: ModelShape, server: Server) -> str:
    """Return which field of `Errors` holds for a server: the first cause of a large error that it has."""
    if server.brand == "AMD":
        return "amd"
    if server.vision and shape.vision_weights:
        return "encoder"
    if shape.is_mla or any(layers.ratio > 1 for layers in shape.attention):
        return "latent"
    return "several" if server.ranks > 1 else "one"


def expected_error(shape: ModelShape, server: Server | None) -> float:
    """Return the GiB by which the KV cache may be smaller or larger: the worst that was seen of the server's kind."""
    if server is None:
        return table().error_gib
    worst: float = getattr(table().errors, kind_of(shape, server))
    return max(worst, table().error_gib)  # with few starts of a kind, the worst that was seen is too small


def _links(links: Links, server: Server) -> float:
    if server.brand == "AMD":
        return links.amd
    return links.fast if server.fast_links else links.pcie


def _copies(sampler: Sampler, server: Server) -> float:
    if server.brand == "AMD":
        return sampler.amd
    return sampler.since if _since(server.version, table().sampler_since) else sampler.before


@lru_cache(maxsize=1024)
def _since(version: str, first: str) -> bool:
    return not version or Version(version) >= Version(first)
