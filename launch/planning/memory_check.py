"""Check the memory of one plan, and shorten the context if the model's own does not fit."""

from __future__ import annotations

from dataclasses import replace

from errors import Refused
from launch.planning import memory
from launch.planning.kv_space import kv_space
from launch.planning.selection import Selection
from launch.spec.inputs import Host, KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Fit, Layout
from launch.spec.vllm_args import Arg, Draft

CONTEXT = "--max-model-len"
STEP, SMALL_STEP = 4096, 256  # a context that Slipway sets is a multiple of one of these
ALLOW_LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def fit_of(
    draft: Draft,
    layout: Layout,
    shape: ModelShape | None,
    host: Host,
    selection: Selection,
    version: str = "",
) -> tuple[Fit, tuple[Arg, ...]]:
    """Return the estimate for this vLLM, and the --max-model-len to add if the model's own context does not fit.

    Raises Refused for weights that do not fit, and for a requested context that does not fit.
    """
    demand = demand_of(draft, layout, shape, host, selection, version)
    _check_context(demand.context, draft, shape, selection)
    if not demand.vram_gib and demand.kv_gib is None:
        return Fit(detail=f"the memory of {host.hardware.id} is not known"), ()
    measured = _measured(host, selection, layout)
    fit = memory.fit(shape, demand, measured)
    if fit.result != "does not fit":
        return fit, ()
    shorter = shorter_context(fit, demand, draft, selection)
    why = f"of the model's own {demand.context:,} tokens, about {fit.kv_tokens_per_replica:,} fit"
    arg = Arg(CONTEXT, (str(shorter),), "rule: memory fit", why)
    return memory.fit(shape, replace(demand, context=shorter), measured), (arg,)


def shorter_context(fit: Fit, demand: memory.Demand, draft: Draft, selection: Selection) -> int:
    """Return the context to set instead of the model's own. Raises Refused if there is none."""
    layout = demand.layout.name
    if not fit.max_model_len:
        fix = "--gpus with a larger number, or --variant with a smaller checkpoint"
        raise Refused(f"{selection.model_id} does not fit with {layout}", why=fit.detail, fix=fix)
    step = STEP if fit.max_model_len >= STEP else SMALL_STEP
    largest = fit.max_model_len // step * step
    if draft.get(CONTEXT) is not None or not largest:
        why = f"{fit.detail}: {fit.kv_tokens_per_replica:,} tokens for each replica"
        fix = f"--max-model-len {largest or fit.max_model_len}, or --workaround fp8-kv-cache"
        raise Refused(f"a context of {demand.context:,} tokens does not fit with {layout}", why=why, fix=fix)
    return largest


def _check_context(context: int | None, draft: Draft, shape: ModelShape | None, selection: Selection) -> None:
    """Raise Refused for more than the model's own context, unless the user has set how it is extended."""
    own = shape.context if shape else None
    extended = draft.get("--hf-overrides") or any(variable.name == ALLOW_LONGER for variable in draft.env)
    if shape and context and own and context > own and not extended:
        what = f"a context of {context:,} tokens is too long: {selection.model_id} has {own:,}"
        raise Refused(what, why=shape.source, fix=f"--max-model-len {own}, or --env {ALLOW_LONGER}=1")


def demand_of(
    draft: Draft,
    layout: Layout,
    shape: ModelShape | None,
    host: Host,
    selection: Selection,
    version: str = "",
) -> memory.Demand:
    """Return what the options ask of each GPU, with vLLM's defaults for what they do not set."""
    own = (shape.context if shape else None) or selection.recipe.model.context_length
    context = draft.number(CONTEXT, 0) or (None if draft.get(CONTEXT) else own)
    kv_dtype, space = draft.get("--kv-cache-dtype"), kv_space(draft, host.hardware.platform, version)
    return memory.Demand(
        layout=layout,
        vram_gib=host.vram_gib if host.vram_gib is not None else host.hardware.vram_gib,
        utilization=space.utilization,
        context=context,
        longest=own,
        kv_dtype=kv_dtype.value if kv_dtype else "auto",
        kv_gib=space.gib,
        block=_block(draft, shape) if host.hardware.platform == "cpu" else 1,
    )


def _block(draft: Draft, shape: ModelShape | None) -> int:
    """Return the tokens of a KV block on CPU."""
    if shape and shape.is_mla:
        return 16
    return draft.number("--block-size", memory.constants().cpu_block) or memory.constants().cpu_block


def _measured(host: Host, selection: Selection, layout: Layout) -> KvMeasurement | None:
    """Return the latest measurement of this model on this hardware, with the same layout if there is one."""
    model, hardware = selection.model_id, host.hardware.id
    latest_first = [m for m in reversed(host.measured) if (m.model, m.hardware) == (model, hardware)]
    same_layout = (m for m in latest_first if m.layout == layout)
    return next(same_layout, latest_first[0] if latest_first else None)
