"""Check the memory of one plan, and shorten the context if the model's own does not fit."""

from __future__ import annotations

from dataclasses import replace

from errors import Refused
from launch.planning import memory
from launch.planning.context_length import check_context, longest_of
from launch.planning.json_objects import options_of_user
from launch.planning.kv_cache import BLOCK, STATE_PAGES, Limits
from launch.planning.kv_space import BYTES_FLAG, SHARE, TEXT_ONLY, kv_space
from launch.planning.overhead import Server, batch_of, in_flight
from launch.planning.selection import Selection
from launch.planning.speculation import Speculation, speculation
from launch.spec.inputs import Host, KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Fit, Layout
from launch.spec.vllm_args import Arg, Draft

CONTEXT = "--max-model-len"
STEP, SMALL_STEP = 4096, 256  # a context that Slipway sets is a multiple of one of these
EAGER = ("--enforce-eager",)
BLOCKS = "--num-gpu-blocks-override"
SEQUENCES, STEP_TOKENS = "--max-num-seqs", "--max-num-batched-tokens"
# Options of a user that can take all the memory of a model that fits.
MEMORY_FLAGS = (BLOCKS, BYTES_FLAG, SEQUENCES, STEP_TOKENS, SHARE)
CPU_STEP = 2048  # tokens for each rank of a replica (get_batch_defaults in vllm/engine/arg_utils.py)
MORE = "--gpus with a larger number, or --variant with a smaller checkpoint"
FEW = 64  # sequences, which take little memory for sampling
DRIVER_SHARE = (
    1.1  # a card with more than this share of the listed memory is another one, which shares its id
)


def fit_of(
    draft: Draft,
    layout: Layout,
    shape: ModelShape | None,
    host: Host,
    selection: Selection,
    version: str = "",
    image: str = "",
) -> tuple[Fit, tuple[Arg, ...]]:
    """Return the estimate for this vLLM, and the --max-model-len to add if the model's own context does not fit.

    Raises Refused for weights that do not fit, and for a requested context that does not fit.
    """
    demand = replace(demand_of(draft, layout, shape, host, selection, version), image=image)
    check_context(demand.context, draft, shape, selection.model_id)
    if not demand.vram_gib and demand.kv_gib is None:
        return Fit(detail=f"the memory of {host.hardware.id} is not known"), ()
    measured = _measured(host, selection, demand)
    fit = memory.fit(shape, demand, measured)
    if fit.result != "does not fit":
        _check_step(draft, demand)
        return fit, ()
    if not fit.max_model_len:
        less = options_of_user(draft).intersection(MEMORY_FLAGS)
        demands = {
            flag: demand_of(draft.without(flag), layout, shape, host, selection, version)
            for flag in sorted(less)
        }
        raise _too_large(
            fit, layout, selection, [f for f, d in demands.items() if memory.fit(shape, d).max_model_len]
        )
    shorter = shorter_context(fit, demand, draft, selection)
    why = f"of the model's own {demand.context:,} tokens, about {fit.max_model_len:,} fit"
    arg = Arg(CONTEXT, (str(shorter),), "rule: memory fit", why)
    return memory.fit(shape, replace(demand, context=shorter), measured), (arg,)


def _check_step(draft: Draft, demand: memory.Demand) -> None:
    """Raise Refused for more sequences of the user than vLLM's default step has tokens (vllm/config/scheduler.py)."""
    sequences, layout = draft.number(SEQUENCES, 0) or 0, demand.layout
    step = demand.server.batched_tokens if demand.server else CPU_STEP * layout.tp * layout.pp
    if draft.get(STEP_TOKENS) or sequences <= step or SEQUENCES not in options_of_user(draft):
        return
    why = f"each sequence has at least one token in a step, and vLLM's default step has {step:,} here"
    fix = f"--set {STEP_TOKENS}={sequences}, or --set {SEQUENCES}={step}"
    raise Refused(f"{SEQUENCES} {sequences} is more than the tokens of a step", why=why, fix=fix)


def _too_large(fit: Fit, layout: Layout, selection: Selection, blamed: list[str]) -> Refused:
    """Refuse a model that leaves no KV cache. Without an option in `blamed`, which the user sets, it has one."""
    fix = f"leave out --set {blamed[0]}" if blamed else MORE
    return Refused(f"{selection.model_id} does not fit with {layout.name}", why=fit.detail, fix=fix)


def tight_note(fit: Fit, draft: Draft) -> str:
    """Return what to set if vLLM may refuse a plan whose memory is tight."""
    step = STEP if (fit.safe_context or 0) >= STEP else SMALL_STEP
    safe = (fit.safe_context or 0) // step * step
    sequences = draft.number(SEQUENCES, 0) or 0
    less = "" if 0 < sequences <= FEW else f"--set --max-num-seqs={FEW}, "
    fix = f"--max-model-len {safe}" if safe else f"{less}more GPUs, or --variant with a smaller checkpoint"
    return f"the memory is tight: vLLM may refuse to start. To be safe: {fix}"


def shorter_context(fit: Fit, demand: memory.Demand, draft: Draft, selection: Selection) -> int:
    """Return the context to set instead of the model's own. Raises Refused if there is none."""
    layout, most = demand.layout.name, fit.max_model_len or 0
    step = STEP if most >= STEP else SMALL_STEP
    largest = most // step * step
    if draft.get(CONTEXT) is not None or not largest:
        why = f"{fit.detail}: {most:,} tokens for one request"
        fix = f"--max-model-len {largest or most}, or --workaround fp8-kv-cache"
        raise Refused(f"a context of {demand.context:,} tokens does not fit with {layout}", why=why, fix=fix)
    return largest


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
    space = kv_space(draft, host.hardware.platform, version)
    on_cpu, vram = host.hardware.platform == "cpu", _vram_gib(host)
    server = None if on_cpu else server_of(draft, layout, host, vram, version)
    spec = speculation(draft, shape)
    return memory.Demand(
        layout=layout,
        vram_gib=vram,
        utilization=space.utilization,
        context=context,
        longest=longest_of(draft, shape) or own,
        kv_gib=space.gib,
        blocks=draft.number(BLOCKS, 0) or 0,
        limits=limits_of(draft, shape, server, version, spec),
        server=server,
        draft=spec.own,
    )


def _vram_gib(host: Host) -> float:
    """Return the GiB that a process can use on a GPU: the driver's total contains what it keeps for itself."""
    listed, own = host.hardware.memory_gib, host.vram_gib
    if own is None:
        return listed
    return min(own, listed) if listed and own <= listed * DRIVER_SHARE else own


def server_of(draft: Draft, layout: Layout, host: Host, vram_gib: float, version: str) -> Server:
    """Return what the memory besides weights and KV cache depends on, with vLLM's defaults."""
    card = host.hardware
    batch = batch_of(card.id, vram_gib, version)
    times = 2 if (mode := draft.get("--performance-mode")) and mode.value == "throughput" else 1
    return Server(
        brand=card.brand,
        fast_links=card.fast_links,
        ranks=layout.gpus,
        sequences=draft.number(SEQUENCES, times * batch.sequences) or batch.sequences,
        batched_tokens=draft.number(STEP_TOKENS, times * batch.tokens) or batch.tokens,
        version=version,
        graphs=not any(draft.get(flag) for flag in EAGER),
        vision=not draft.get(TEXT_ONLY),
    )


def limits_of(
    draft: Draft, shape: ModelShape | None, server: Server | None, version: str, spec: Speculation
) -> Limits:
    """Return what the size of a request's KV cache depends on."""
    kv_dtype = draft.get("--kv-cache-dtype")
    cached = not draft.get("--no-enable-prefix-caching")
    return Limits(
        kv_dtype=kv_dtype.value if kv_dtype else "auto",
        block=_block(draft, shape, on_cpu=server is None),
        in_flight=in_flight(server.batched_tokens, version) if server else 0,
        state_pages=(STATE_PAGES if cached else 1) + spec.tokens,
        draft_layers=spec.layers,
    )


def _block(draft: Draft, shape: ModelShape | None, on_cpu: bool) -> int:
    """Return the tokens of a KV block."""
    default = memory.constants().cpu_block if on_cpu and not (shape and shape.is_mla) else BLOCK
    return draft.number("--block-size", default) or default


def _measured(host: Host, selection: Selection, demand: memory.Demand) -> KvMeasurement | None:
    """Return the latest measurement of this model on this hardware: of this layout and image if there is one."""
    model, hardware = selection.model_id, host.hardware.id
    latest_first = [m for m in reversed(host.measured) if (m.model, m.hardware) == (model, hardware)]
    ranked = sorted(latest_first, key=lambda m: (m.layout != demand.layout, not _same_image(m, demand)))
    return next(iter(ranked), None)


def _same_image(measured: KvMeasurement, demand: memory.Demand) -> bool:
    return bool(demand.image) and measured.image == demand.image
