"""From a recipe, a host and a wish to a plan: legal, fitting, and with a reason for everything in it.

Pure: facts in, a frozen Plan out. The steps are the functions of `make_plan`, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from errors import Refused
from launch import layout as layouts
from launch import memory, strategy, versions, wishes
from launch.access import SERVES_ON, Access, grant, guide_for
from launch.arguments import Arg, Draft, in_order, words
from launch.plan import Fit, Layout, Plan, Process, Reason, Rejected
from launch.recipe import Recipe, unknown_keys
from launch.request import Host, Image, Wish
from launch.selection import select
from launch.shape import Shape
from launch.strategy import Strategy
from launch.synthesis import Choice, synthesise

TP, PP, DP = "--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"
CONTEXT, EP, DCP = "--max-model-len", "--enable-expert-parallel", "--decode-context-parallel-size"
STEP = 4096  # a context that we set ourselves is a multiple of this


@dataclass(frozen=True)
class Draught:
    """What is known half way: the choice, the layout, and one command a node."""

    choice: Choice
    shape: Shape | None
    layout: Layout
    drafts: tuple[Draft, ...]


def make_plan(
    wish: Wish, host: Host, recipe: Recipe, image: Image, strategies: Mapping[str, Strategy] | None = None
) -> Plan:
    """The plan of a wish.

    Raises Refused with the arithmetic where the layout is illegal, with the largest context where it cannot fit,
    and with the known names where the recipe does not have what was asked for.
    """
    choice = select(wish, host, recipe, strategies or strategy.known())
    check_image(choice, image, host)
    shape = shape_of(choice, host)
    choice, left_idle = widest_legal(wish, choice, shape, image)
    drafts = tuple(command(choice, wish, image, rank) for rank in range(host.nodes))
    layout = layout_of(drafts[0], choice, shape)
    check_layout(layout, drafts[0], choice, shape, image)
    fit, cap = fit_of(drafts[0], layout, shape, host, choice)
    drafts = tuple(ordered(draft.add(cap), recipe) for draft in drafts)
    ranks = max(1, layout.gpus // host.nodes)
    access = grant(wish, host, recipe, ranks)
    return _plan(wish, host, image, Draught(choice, shape, layout, drafts), fit, access, left_idle)


def check_image(choice: Choice, image: Image, host: Host) -> None:
    """Raises Refused for an image that is too old for the recipe, or compiled for other hardware."""
    need = choice.variant.min_vllm_version or choice.recipe.model.min_vllm_version
    try:
        old = bool(need) and versions.parse(image.vllm_version) < Version(need)
    except InvalidVersion:
        old = False  # "nightly": nothing to compare with
    if old:
        why = f"{choice.recipe.file}: min_vllm_version"
        raise Refused(
            f"vLLM {image.vllm_version} is too old for {choice.model_id}",
            why=why,
            fix=f"--vllm {need} or newer",
        )
    contract, arch = image.contract, host.hardware.arch
    if (
        contract
        and contract.gpu_archs
        and arch
        and not any(_runs(built, arch) for built in contract.gpu_archs)
    ):
        built = " ".join(contract.gpu_archs)
        raise Refused(
            f"{image.reference} has no kernels for {host.hardware.id} ({arch})",
            why=f"it was compiled for {built}",
            fix="another image",
        )


def _runs(built: str, arch: str) -> bool:
    """CUDA code runs on the same and on later minor architectures; AMD's on its own."""
    return built == arch or (built.startswith("sm_") and built[:-1] == arch[:-1] and built <= arch)


def shape_of(choice: Choice, host: Host) -> Shape | None:
    """From the snapshot in the HF cache, else from the recipe, for the checkpoint that the shape is of."""
    own = choice.recipe.ours.shape if choice.model_id == choice.recipe.model.model_id else None
    return host.shapes.get(choice.model_id) or own


def widest_legal(
    wish: Wish, choice: Choice, shape: Shape | None, image: Image
) -> tuple[Choice, tuple[str, ...]]:
    """Where the user left the layout to us: the largest legal TP, though it may leave GPUs idle."""
    asked = wish.strategy or any(flag in (TP, DP, PP, EP) for flag, _ in wish.settings)
    if asked or choice.strategy.name != "single_node_tp" or shape is None:
        return choice, ()
    size, _ = strategy.tp_of_one_node(choice.recipe, choice.variant, choice.hardware, choice.gpus)
    version = str(versions.parse(image.vllm_version))
    for tp in range(size, 0, -1):
        verdict = layouts.judge(shape, Layout(tp), choice.gpus, version)
        if verdict.legal:
            idle = f"TP{tp} leaves {choice.gpus - tp} of {choice.gpus} GPUs idle: no larger TP is legal"
            return (choice, ()) if tp == size else (replace(choice, tp=tp), (idle,))
    return choice, ()


def command(choice: Choice, wish: Wish, image: Image, rank: int) -> Draft:
    """The options of one node: the recipe's, the user's, in the words of the image's vLLM."""
    draft = wishes.apply(synthesise(choice, rank), wish, choice.recipe)
    if choice.nodes > 1 and wish.port != SERVES_ON:
        draft = draft.add((Arg("--port", (str(wish.port),), versions.USER, "your word"),))
    return versions.adapt(draft, image)


def layout_of(draft: Draft, choice: Choice, shape: Shape | None) -> Layout:
    """The layout that a command line means. Raises Refused for a size that is not a number above 0."""
    sizes = {flag: draft.number(flag) for flag in (TP, PP, DP)}
    for flag, size in sizes.items():
        if not size or size > 100_000:
            arg = draft.get(flag)
            raise Refused(f"{flag} {arg.value if arg else ''}: a whole number from 1 on is wanted")
    tp, pp, dp = sizes[TP] or 1, sizes[PP] or 1, sizes[DP] or 1
    experts = shape.experts > 0 if shape else choice.recipe.model.architecture != "dense"
    spread = draft.get(EP) is not None and experts
    return Layout(tp, pp, dp, tp * dp if spread else 1, choice.nodes)


def faults(draft: Draft, layout: Layout, shape: Shape | None, gpus: int, version: str) -> tuple[str, ...]:
    """Why these options cannot run together on nodes of `gpus` GPUs (0: no limit); empty where nothing is known."""
    dcp = draft.number(DCP) or 1
    verdict = layouts.judge(shape, layout, gpus, version)
    return (*verdict.reasons, *layouts.context_parallel(layout.tp, dcp))


def check_layout(layout: Layout, draft: Draft, choice: Choice, shape: Shape | None, image: Image) -> None:
    """Raises Refused with the arithmetic and the layouts that work."""
    limit = choice.gpus if choice.hardware.per_node else 0
    version = str(versions.parse(image.vllm_version))
    reasons = faults(draft, layout, shape, limit, version)
    if not reasons:
        return
    good = [v.layout for v in layouts.verdicts(shape, choice.gpus, choice.nodes, version) if v.legal]
    smaller = [
        Layout(tp)
        for tp in range(choice.gpus - 1, 0, -1)
        if layouts.judge(shape, Layout(tp), limit, version).legal
    ]
    shown = [layouts.name(found) for found in (*smaller[:1], *sorted(good, key=lambda x: (x.pp, -x.ep)))]
    fix = (
        f"layouts that work: {', '.join(dict.fromkeys(shown[:8]))}"
        if shown
        else "another --strategy or number of GPUs"
    )
    raise Refused(
        f"{layouts.name(layout)} cannot run {choice.model_id}", why="; ".join(verdict.reasons), fix=fix
    )


def fit_of(
    draft: Draft, layout: Layout, shape: Shape | None, host: Host, choice: Choice
) -> tuple[Fit, tuple[Arg, ...]]:
    """The fit, and the --max-model-len to add where the model's own context is too long for this memory.

    Raises Refused for weights that do not fit, and for a context that was asked for and cannot.
    """
    demand = _demand(draft, layout, shape, host, choice)
    if not demand.vram_gib and demand.kv_gib is None:
        return Fit(detail=f"the memory of {host.hardware.id} is not known"), ()
    _check_context(demand.context, draft, shape, choice)
    measured = _measured(host, choice, layout)
    fit = memory.fit(shape, demand, measured)
    if fit.verdict != "does not fit":
        return fit, ()
    largest = (fit.max_model_len or 0) // STEP * STEP
    if not fit.max_model_len:
        fix = "more GPUs, or a smaller variant"
        raise Refused(f"{choice.model_id} does not fit with {layouts.name(layout)}", why=fit.detail, fix=fix)
    asked = draft.get(CONTEXT)
    if asked is not None or not largest:
        why = f"{fit.detail}: {fit.kv_tokens_per_replica:,} tokens a replica"
        fix = f"--max-model-len {largest or fit.max_model_len}, or --cure fp8-kv-cache"
        raise Refused(
            f"a context of {demand.context:,} tokens cannot fit with {layouts.name(layout)}", why=why, fix=fix
        )
    capped = memory.fit(shape, replace(demand, context=largest), measured)
    why = f"the model's own {demand.context:,} tokens do not fit: about {fit.kv_tokens_per_replica:,} do"
    return capped, (Arg(CONTEXT, (str(largest),), "rule: memory fit", why),)


def _check_context(asked: int | None, draft: Draft, shape: Shape | None, choice: Choice) -> None:
    """Raises Refused for more than the model was made for, unless the user has said how it is stretched."""
    stretched = draft.get("--hf-overrides") or any(
        s.name == "VLLM_ALLOW_LONG_MAX_MODEL_LEN" for s in draft.env
    )
    own = shape.context if shape else None
    if asked and own and asked > own and not stretched:
        fix = f"--max-model-len {own}, or --env VLLM_ALLOW_LONG_MAX_MODEL_LEN=1"
        raise Refused(
            f"a context of {asked:,} tokens: {choice.model_id} was made for {own:,}",
            why=shape.source if shape else "",
            fix=fix,
        )


def _demand(draft: Draft, layout: Layout, shape: Shape | None, host: Host, choice: Choice) -> memory.Demand:
    known = memory.constants()
    context = draft.number(CONTEXT, 0) or (None if draft.get(CONTEXT) else _own_context(shape, choice))
    kv_dtype = draft.get("--kv-cache-dtype")
    space = None
    if host.hardware.platform == "cpu":
        given = next((s.value for s in draft.env if s.name == "VLLM_CPU_KVCACHE_SPACE"), "")
        space = _decimal(given, known.cpu_kv_gib)
    share = draft.get("--gpu-memory-utilization")
    utilization = _decimal(share.value if share else "", known.utilization)
    vram = host.vram_gib if host.vram_gib is not None else host.hardware.vram_gib
    return memory.Demand(layout, vram, utilization, context, kv_dtype.value if kv_dtype else "auto", space)


def _own_context(shape: Shape | None, choice: Choice) -> int | None:
    return (shape.context if shape else None) or choice.recipe.model.context_length


def _decimal(text: str, default: float) -> float:
    """A number between 0 and a terabyte; anything else is vLLM's to complain about."""
    try:
        value = float(text)
    except ValueError:
        return default
    return value if 0 < value < 1024 else default


def _measured(host: Host, choice: Choice, layout: Layout) -> memory.Measured | None:
    """The earlier start that tells most: the same layout, else any of this model on this hardware."""
    found = [m for m in host.measured if m.model == choice.model_id and m.hardware == host.hardware.id]
    return next((m for m in found if m.layout == layout), found[-1] if found else None)


def ordered(draft: Draft, recipe: Recipe) -> Draft:
    """The options in the recipe's own order."""
    return replace(draft, args=in_order(draft.args, recipe.ours.order))


def _plan(
    wish: Wish, host: Host, image: Image, found: Draught, fit: Fit, access: Access, idle: Sequence[str]
) -> Plan:
    choice = found.choice
    drafts = tuple(_with_access(draft, access) for draft in found.drafts)
    version = str(versions.parse(image.vllm_version))
    judged = layouts.verdicts(found.shape, host.gpus, host.nodes, version)
    rejected = tuple(
        Rejected(layouts.name(v.layout), "; ".join(v.reasons)) for v in judged if v.legal is False
    )
    reference = guide_for(choice.recipe, host).image if wish.access == "guide" else image.reference
    return Plan(
        model=choice.model_id,
        platform=host.hardware.platform,
        image=reference,
        vllm_version=image.vllm_version,
        strategy=choice.strategy.name,
        layout=found.layout,
        processes=tuple(_process(choice, draft, rank) for rank, draft in enumerate(drafts)),
        container=replace(access.container, entrypoint=() if wish.access == "guide" else image.entrypoint),
        fit=fit,
        rejected=rejected,
        reasons=(*_reasons(wish, choice, drafts), *access.reasons),
        notes=(*_notes(found, fit, idle), *access.notes),
    )


def _with_access(draft: Draft, access: Access) -> Draft:
    """The container's own variables after the recipe's; a name that is there already is the user's or the recipe's."""
    there = {setting.name for setting in draft.env}
    return draft.add(env=(setting for setting in access.env if setting.name not in there))


def _process(choice: Choice, draft: Draft, rank: int) -> Process:
    role = "server" if choice.nodes == 1 else ("worker" if rank else "head")
    argv = ("vllm", "serve", choice.model_id, *words(draft.args))
    return Process(role, rank, argv, tuple((s.name, s.value) for s in draft.env))


def _reasons(wish: Wish, choice: Choice, drafts: Sequence[Draft]) -> tuple[Reason, ...]:
    chosen = "your word" if wish.strategy else _why_strategy(choice)
    source = versions.USER if wish.strategy else f"{choice.recipe.file}: compatible_strategies"
    found = [Reason(choice.strategy.name, chosen, source)]
    for draft in drafts:
        found += (Reason(" ".join(arg.tokens), arg.why, arg.source) for arg in draft.args)
        found += (Reason(f"{s.name}={s.value}", s.why, s.source) for s in draft.env)
    return tuple(dict.fromkeys(found))


def _why_strategy(choice: Choice) -> str:
    total = choice.gpus * choice.nodes
    rules = (rule for rule in choice.recipe.ours.strategies if rule.gpus is None or total <= rule.gpus)
    return next((rule.why for rule in rules if rule.why), "the recipe's default for this number of nodes")


def _notes(found: Draught, fit: Fit, idle: Sequence[str]) -> tuple[str, ...]:
    choice, draft = found.choice, found.drafts[0]
    advice = (tip.note for tip in choice.recipe.ours.advice if tip.hardware == choice.hardware.id)
    unknown = (
        f"{choice.recipe.file}: key not known, kept unread: {key}" for key in unknown_keys(choice.recipe)
    )
    unchecked = (
        ()
        if found.shape
        else ("the model's shape is not known here, so its layout and memory were not checked",)
    )
    return tuple(
        dict.fromkeys((*draft.corrections, *draft.notes, *idle, *advice, *_close(fit), *unchecked, *unknown))
    )


def _close(fit: Fit) -> tuple[str, ...]:
    if fit.verdict != "unknown" or fit.kv_tokens_per_replica is None:
        return ()
    return (f"memory is too close to call: about {fit.kv_tokens_per_replica:,} tokens a replica",)
