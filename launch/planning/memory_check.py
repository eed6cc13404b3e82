"""The memory question of one plan: what its options ask for, and what to do where that does not fit."""

from __future__ import annotations

from dataclasses import replace

from errors import Refused
from launch.planning import memory
from launch.planning import parallelism as layouts
from launch.planning.choice import Choice
from launch.spec.inputs import Host, Measured
from launch.spec.model_config import Shape
from launch.spec.plan import Fit, Layout
from launch.spec.vllm_args import Arg, Draft

CONTEXT = "--max-model-len"
STEP = 4096  # a context that we set ourselves is a multiple of this
STRETCHED = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def fit_of(
    draft: Draft, layout: Layout, shape: Shape | None, host: Host, choice: Choice
) -> tuple[Fit, tuple[Arg, ...]]:
    """The fit, and the --max-model-len to add where the model's own context is too long for this memory.

    Raises Refused for weights that do not fit, and for a context that was asked for and cannot be.
    """
    demand = demand_of(draft, layout, shape, host, choice)
    _check_context(demand.context, draft, shape, choice)
    if not demand.vram_gib and demand.kv_gib is None:
        return Fit(detail=f"the memory of {host.hardware.id} is not known"), ()
    measured = _measured(host, choice, layout)
    fit = memory.fit(shape, demand, measured)
    if fit.verdict != "does not fit":
        return fit, ()
    shorter = shorter_context(fit, demand, draft, choice)
    why = f"the model's own {demand.context:,} tokens do not fit: about {fit.kv_tokens_per_replica:,} do"
    arg = Arg(CONTEXT, (str(shorter),), "rule: memory fit", why)
    return memory.fit(shape, replace(demand, context=shorter), measured), (arg,)


def shorter_context(fit: Fit, demand: memory.Demand, draft: Draft, choice: Choice) -> int:
    """The context to set instead of the model's own. Raises Refused where there is none to set."""
    where = layouts.name(demand.layout)
    if not fit.max_model_len:
        fix = "more GPUs, or a smaller variant"
        raise Refused(f"{choice.model_id} does not fit with {where}", why=fit.detail, fix=fix)
    largest = fit.max_model_len // STEP * STEP
    if draft.get(CONTEXT) is not None or not largest:
        why = f"{fit.detail}: {fit.kv_tokens_per_replica:,} tokens a replica"
        fix = f"--max-model-len {largest or fit.max_model_len}, or --workaround fp8-kv-cache"
        raise Refused(f"a context of {demand.context:,} tokens cannot fit with {where}", why=why, fix=fix)
    return largest


def _check_context(asked: int | None, draft: Draft, shape: Shape | None, choice: Choice) -> None:
    """Raises Refused for more than the model was made for, unless the user has said how it is stretched."""
    own = shape.context if shape else None
    stretched = draft.get("--hf-overrides") or any(setting.name == STRETCHED for setting in draft.env)
    if shape and asked and own and asked > own and not stretched:
        what = f"a context of {asked:,} tokens: {choice.model_id} was made for {own:,}"
        raise Refused(what, why=shape.source, fix=f"--max-model-len {own}, or --env {STRETCHED}=1")


def demand_of(draft: Draft, layout: Layout, shape: Shape | None, host: Host, choice: Choice) -> memory.Demand:
    """What the options ask of each GPU; vLLM's defaults where they say nothing."""
    known = memory.constants()
    own = (shape.context if shape else None) or choice.recipe.model.context_length
    context = draft.number(CONTEXT, 0) or (None if draft.get(CONTEXT) else own)
    kv_dtype, share = draft.get("--kv-cache-dtype"), draft.get("--gpu-memory-utilization")
    space = next((s.value for s in draft.env if s.name == "VLLM_CPU_KVCACHE_SPACE"), "")
    return memory.Demand(
        layout=layout,
        vram_gib=host.vram_gib if host.vram_gib is not None else host.hardware.vram_gib,
        utilization=_decimal(share.value if share else "", known.utilization),
        context=context,
        longest=own,
        kv_dtype=kv_dtype.value if kv_dtype else "auto",
        kv_gib=_decimal(space, known.cpu_kv_gib) if host.hardware.platform == "cpu" else None,
    )


def _decimal(text: str, default: float) -> float:
    """A number between 0 and a terabyte; anything else is vLLM's to complain about."""
    try:
        value = float(text)
    except ValueError:
        return default
    return value if 0 < value < 1024 else default


def _measured(host: Host, choice: Choice, layout: Layout) -> Measured | None:
    """The earlier start that tells most: the same layout, else the latest of this model on this hardware."""
    found = [m for m in host.measured if m.model == choice.model_id and m.hardware == host.hardware.id]
    return next((m for m in reversed(found) if m.layout == layout), found[-1] if found else None)
