"""Estimate whether a model fits: weights, other memory and KV cache of one GPU, computed from the model's shape.

The result is `fits`, `tight` (the estimate is closer to the limit than its expected error), `does not fit` or
`unknown` (a number is missing). GiB are 2**30 bytes. The "GPU KV cache size" that vLLM printed at an earlier start on
this host corrects the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from packaging.version import Version

from launch.checked_data.data_file import load
from launch.planning.kv_cache import Limits, Pool, pool_of
from launch.planning.overhead import Server, expected_error, overhead
from launch.planning.weight_size import GIB, weights_gib
from launch.spec.inputs import KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Fit, Layout

NO_SHAPE = "the shape of the model is not known here (no config.json in the HF cache)"
ANY_CONTEXT = 4096  # tokens; for the size of a cache if neither the user nor the model says a context


@dataclass(frozen=True)
class Constants:
    """The rows of memory.yaml, which gives their sources."""

    utilization: float
    older_utilization: float
    utilization_since: str
    measured_error_gib: float
    cpu_kv_gib: float
    cpu_server_gib: float
    cpu_block: int

    def default_utilization(self, version: str) -> float:
        """Return the share that this vLLM uses by default; "" is the newest."""
        older = version and Version(version) < Version(self.utilization_since)
        return self.older_utilization if older else self.utilization


@cache
def constants() -> Constants:
    """Return the values that cannot be computed."""
    return load(Path(__file__).with_suffix(".yaml"), Constants)


@dataclass(frozen=True)
class Demand:
    """What the options ask of each GPU. `context` is the context to serve, in tokens.

    `kv_gib` is a KV cache of a set size. None: the memory that the rest leaves on the GPU. `server` is None on CPU.
    """

    layout: Layout
    vram_gib: float
    utilization: float
    context: int | None
    longest: int | None = None  # the model's own context, which more memory does not extend
    kv_gib: float | None = None
    blocks: int = 0  # of the KV cache, instead of its size (--num-gpu-blocks-override)
    limits: Limits = field(default_factory=Limits)
    server: Server | None = None
    draft: bool = False  # the checkpoint's own draft model is loaded
    image: str = ""  # the short id of the image, which measurements are kept by


@dataclass(frozen=True)
class Budget:
    """The GiB of one GPU, by what they are for. `error` is how far `kv` may be off."""

    weights: float
    other: float
    kv: float
    error: float


def fit(shape: ModelShape | None, demand: Demand, measured: KvMeasurement | None = None) -> Fit:
    """Return the estimate. If a number is not known, its result is `unknown`."""
    if shape is None:
        return Fit(detail=NO_SHAPE)
    if shape.unknown:
        return Fit(detail=f"the KV cache of this model is not known: {shape.unknown}")
    pool = pool_of(shape, demand.layout, demand.limits)
    if pool and demand.blocks:
        if pool.packed:
            return Fit(detail="the size of a block of this model is not known")
        demand = replace(demand, kv_gib=demand.blocks * pool.block_bytes / GIB)
    budget = budget_of(shape, demand)
    if pool is None or budget is None:
        return Fit(detail="a number that the memory depends on is missing in the model's config.json")
    corrected = _corrected(shape, demand, budget, measured) if measured else budget
    return _fit(demand, pool, corrected, None if corrected is budget else measured)


def budget_of(shape: ModelShape, demand: Demand) -> Budget | None:
    """Return how the memory of one GPU is used; None if the size of the weights is not known."""
    weights = weights_gib(shape, demand.layout, demand.draft)
    if weights is None:
        return None
    context = demand.context or demand.longest or 0
    other = sum(overhead(shape, replace(demand.server, context=context)).values()) if demand.server else 0.0
    left, error = demand.vram_gib * demand.utilization - weights - other, expected_error(shape, demand.server)
    if demand.kv_gib is None:
        return Budget(weights, other, left, error)
    fits = demand.server is None or weights + other + demand.kv_gib <= demand.vram_gib + error
    return Budget(weights, other, demand.kv_gib if fits else 0.0, 0.0)


def _fit(demand: Demand, pool: Pool, budget: Budget, measured: KvMeasurement | None) -> Fit:
    kv, least, most = (gib * GIB for gib in (budget.kv, budget.kv - budget.error, budget.kv + budget.error))
    context = demand.context or demand.longest or ANY_CONTEXT
    tokens, safe = pool.tokens(kv, context), pool.longest(least)
    longest = safe or pool.longest(kv)
    estimate = Fit(
        result="fits",
        kv_tokens=tokens * demand.layout.dp,
        kv_tokens_per_replica=tokens,
        max_model_len=min(longest, demand.longest) if demand.longest else longest,
        per_gpu_gib=round(_used(demand, budget), 1),
        safe_context=min(safe, demand.longest) if demand.longest else safe,
        expected_error=round(min(1.0, budget.error / budget.kv), 3) if budget.kv > 0 else 1.0,
        detail=_detail(budget, measured),
    )
    if not safe and not pool.longest(most):
        return replace(estimate, result="does not fit", kv_tokens=0, kv_tokens_per_replica=0, max_model_len=0,
                       detail=_too_large(demand, budget))  # fmt: skip
    if demand.context and demand.context > safe:
        too_long = demand.context > pool.longest(most)
        return replace(estimate, result="does not fit" if too_long else "tight")
    return estimate if tokens and safe else replace(estimate, result="tight")


def _used(demand: Demand, budget: Budget) -> float:
    if demand.kv_gib is None:
        return demand.vram_gib * demand.utilization
    return budget.weights + budget.other + max(budget.kv, 0.0)


def _detail(budget: Budget, measured: KvMeasurement | None) -> str:
    other = f", {budget.other:.1f} GiB other memory" if budget.other else ""
    error = f" (expected error {budget.error:.1f} GiB)" if budget.error else ""
    text = f"{budget.weights:.1f} GiB weights{other} and {max(budget.kv, 0):.1f} GiB KV cache on each rank{error}"
    return text + (", corrected by an earlier start on this host" if measured else "")


def _too_large(demand: Demand, budget: Budget) -> str:
    """Return why nothing is left for a KV cache."""
    if demand.kv_gib is not None and budget.weights + budget.other < demand.vram_gib:
        return f"{budget.weights:.1f} GiB of weights and a KV cache of {demand.kv_gib:.4g} GiB for each rank"
    share = f"{demand.vram_gib * demand.utilization:.1f} of {demand.vram_gib:g} GiB"
    other = f" and {budget.other:.1f} GiB of other memory" if budget.other else ""
    return f"{budget.weights:.1f} GiB of weights{other} for each rank, which can use {share}"


def _corrected(shape: ModelShape, demand: Demand, budget: Budget, measured: KvMeasurement) -> Budget:
    """Return the budget with the difference between estimate and measurement of the measured layout."""
    earlier = replace(
        demand,
        layout=measured.layout,
        utilization=measured.utilization or constants().utilization,
        kv_gib=measured.kv_gib,
        context=measured.context or shape.context or demand.context,
        limits=replace(demand.limits, kv_dtype=measured.kv_dtype),
    )
    pool, estimated = pool_of(shape, earlier.layout, earlier.limits), budget_of(shape, earlier)
    if pool is None or estimated is None or budget.kv <= 0 or demand.kv_gib is not None:
        return budget
    context = earlier.context or earlier.longest or ANY_CONTEXT
    blocks = measured.kv_tokens * pool.blocks_of(context) / context
    difference = blocks * pool.block_bytes / GIB - estimated.kv
    same = measured.layout == demand.layout
    error = constants().measured_error_gib if same else budget.error
    return replace(budget, kv=budget.kv + difference, other=budget.other - difference, error=error)
