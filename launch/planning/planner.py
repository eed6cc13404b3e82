"""Make a plan from a recipe, a host and options: a valid layout that fits, with a reason for every item.

Pure: data in, a frozen Plan out. The steps are the lines of `make_plan`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from launch.access.profiles import SERVES_ON, grant, guide_container
from launch.access.types import Access
from launch.planning import overrides, weights
from launch.planning.adapt import adapt
from launch.planning.attention_split import vision_note
from launch.planning.command import fit_ranks, recipe_command
from launch.planning.json_limits import check_json
from launch.planning.known_names import known_names
from launch.planning.kv_space import served_shape
from launch.planning.load_balancing import balance
from launch.planning.memory_check import fit_of, tight_note
from launch.planning.memory_defaults import with_defaults
from launch.planning.model_overrides import changed_shape, check_overrides
from launch.planning.option_pairs import check_pairs
from launch.planning.parallelism import LayoutCheck, check_all, refinement_note
from launch.planning.selection import STRATEGY_BY_FLAG, Selection, select
from launch.planning.smallest_layout import choose_size, left_idle
from launch.planning.spelling import spelled_out
from launch.planning.user_limits import check_address
from launch.planning.validation import check_block, check_image, check_layout, layout_of, release
from launch.planning.vllm_versions import SET_BY_USER, USER, parse
from launch.planning.weight_loading import with_load_strategy
from launch.recipes.from_config import MOUNTED, ConfigRecipe, with_parsers_of
from launch.recipes.model_facts import published_shape
from launch.recipes.schema import Recipe
from launch.recipes.strategy import Strategy, builtin_strategies
from launch.spec.control_characters import one_line
from launch.spec.image_reference import short_id
from launch.spec.inputs import Host, Image
from launch.spec.model_config import ModelShape
from launch.spec.plan import Fit, Layout, Plan, Process, Reason, Rejected
from launch.spec.plan_options import PlanOptions
from launch.spec.vllm_args import Arg, Draft, in_order, to_argv


@dataclass(frozen=True)
class Decision:
    """All decisions, before they become a plan. One draft for each node."""

    selection: Selection
    shape: ModelShape | None
    layout: Layout
    drafts: tuple[Draft, ...]
    fit: Fit
    access: Access
    notes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # keys of the model's shape that the user changes


def make_plan(
    options: PlanOptions,
    host: Host,
    recipe: Recipe,
    image: Image,
    strategies: Mapping[str, Strategy] | None = None,
) -> Plan:
    """Return the plan for these options.

    Raises Refused with the arithmetic for an invalid layout, with the largest context if the requested one cannot
    fit, and with the choices if the recipe lacks what the user asks for.
    """
    known = known_names(image, parse(image.vllm_version))
    options, short = spelled_out(options, known)
    recipe = with_parsers_of(recipe, known.parsers("tool"), known.parsers("reasoning"))
    selection = select(options, host, recipe, strategies or builtin_strategies())
    check_image(selection, image, host)
    changed = changed_shape(options.settings)
    shape = None if changed else shape_of(selection, host)
    selection, idle_note = choose_size(
        options, selection, shape, host, image, lambda one: node_command(one, options, image, 0)
    )
    drafts = [node_command(selection, options, image, rank) for rank in range(host.nodes)]
    layout = layout_of(drafts[0], selection, shape)
    check_layout(layout, drafts[0], selection, shape, image)
    check_block(drafts[0], host)
    idle_note = idle_note or left_idle(layout, selection, shape, release(image))
    shape = served_shape(shape, drafts[0])
    drafts = [with_defaults(draft, layout, shape, host, recipe) for draft in drafts]
    fit, context = fit_of(
        drafts[0],
        layout,
        shape,
        host,
        selection,
        release(image),
        short_id(image.source.id or image.reference),
    )
    if changed:
        fit = replace(fit, detail=f"--hf-overrides changes {', '.join(changed)}")
    access = grant(options, host, recipe, image.short_id, max(1, layout.gpus // host.nodes))
    shorter = tuple(f"{' '.join(arg.tokens)}: {arg.why}" for arg in context)
    drafts = [draft.add(context, notes=shorter) for draft in drafts]
    if options.access != "guide":  # its command stays as the guide writes it
        drafts = [with_load_strategy(draft, host, known) for draft in drafts]
    drafts = [finish(draft, recipe, access) for draft in drafts]
    commit = weights.commit_of(options, host, selection.model_id)
    finished = tuple(weights.at_commit(draft, commit) for draft in drafts)
    decision = Decision(selection, shape, layout, finished, fit, access, (*short, idle_note), changed)
    return write(options, host, image, decision)


def shape_of(selection: Selection, host: Host) -> ModelShape | None:
    """Return the shape of the checkpoint: from the HF cache, else from the recipe, else as published."""
    recipe = selection.recipe
    if isinstance(recipe, ConfigRecipe):
        return recipe.extension.shape
    own = recipe.extension.shape if selection.model_id == recipe.model.model_id else None
    return host.shapes.get(selection.model_id) or own or published_shape(selection.model_id)


def node_command(selection: Selection, options: PlanOptions, image: Image, rank: int) -> Draft:
    """Return the options of one node: the recipe's and the user's, adapted to the image's vLLM."""
    draft = overrides.apply(recipe_command(selection, rank), options, selection.recipe)
    draft = balance(fit_ranks(selection, draft, rank), selection.nodes, rank)
    on_host_network = selection.nodes > 1 or options.access == "guide"
    if on_host_network and options.port != SERVES_ON:  # there the server's own port is the host's
        draft = draft.add((Arg("--port", (str(options.port),), USER, SET_BY_USER),))
    if not on_host_network:
        check_address(draft)
    adapted = adapt(draft, image)
    check_overrides(adapted)
    check_json(adapted)
    check_pairs(adapted)
    return adapted


def finish(draft: Draft, recipe: Recipe, access: Access) -> Draft:
    """Put options into the recipe's order and add the container's variables that are not set yet."""
    given = {variable.name: variable for variable in draft.env}
    env = (variable for variable in access.env if variable.name not in given)
    replaced = (
        overrides.replaced(own.name, given[own.name].value, own.value, f"{own.source}: {own.why}")
        for own in access.env
        if own.name in given and given[own.name].source == USER and given[own.name].value != own.value
    )
    return replace(draft, args=in_order(draft.args, recipe.extension.order)).add(env=env, notes=replaced)


def write(options: PlanOptions, host: Host, image: Image, decision: Decision) -> Plan:
    """Return the decision as a plan."""
    selection = decision.selection
    commit = weights.commit_of(options, host, selection.model_id)
    checks = check_all(decision.shape, host.gpus, host.nodes, release(image))
    return Plan(
        model=_served_name(selection, decision.drafts[0]),
        platform=host.hardware.platform,
        image=image.reference,
        image_source=image.source,
        vllm_version=image.vllm_version,
        strategy=selection.strategy.name,
        layout=decision.layout,
        processes=tuple(_process(selection, draft, rank) for rank, draft in enumerate(decision.drafts)),
        container=replace(decision.access.container, entrypoint=image.entrypoint),
        fit=decision.fit,
        rejected=tuple(
            Rejected(check.layout.name, _without_name(check)) for check in checks if check.valid is False
        ),
        reasons=(*_reasons(options, selection, decision.drafts), *decision.access.reasons),
        commit=commit.commit if commit else "",
        revision=options.revision or (commit.commit if commit else "main"),
        hardware=host.hardware.id,
        budgets=tuple(selection.recipe.extension.budgets.items()),
        notes=tuple(
            one_line(note)
            for note in (
                *image.source.notes,
                *image.notes,
                *_guide_note(options, host, selection, image),
                *_notes(decision),
                *_version_note(image),
                *_unchecked_note(options, image),
                *decision.access.notes,
                *weights.note(options, commit, host, selection.model_id),
            )
        ),
    )


def _without_name(check: LayoutCheck) -> str:
    """Return why a layout is not valid; its name, which stands before them, is not repeated."""
    names = (f"{check.layout.name}: ", f"TP{check.layout.tp}: ")
    return "; ".join(reason.removeprefix(names[0]).removeprefix(names[1]) for reason in check.reasons)


def _process(selection: Selection, draft: Draft, rank: int) -> Process:
    role = "server" if selection.nodes == 1 else ("worker" if rank else "head")
    recipe = selection.recipe
    weights = MOUNTED if isinstance(recipe, ConfigRecipe) and recipe.folder else selection.model_id
    argv = ("vllm", "serve", weights, *to_argv(draft.args))
    return Process(role, rank, argv, tuple((variable.name, variable.value) for variable in draft.env))


def _served_name(selection: Selection, draft: Draft) -> str:
    """Return the model's name; that of a local folder is the one that clients use, which the user may set."""
    recipe, name = selection.recipe, draft.get("--served-model-name")
    return name.value if name and isinstance(recipe, ConfigRecipe) and recipe.folder else selection.model_id


def _reasons(options: PlanOptions, selection: Selection, drafts: Sequence[Draft]) -> tuple[Reason, ...]:
    reasons = [_strategy_reason(options, selection)]
    for draft in drafts:
        reasons += (Reason(" ".join(arg.tokens), arg.why, arg.source) for arg in draft.args)
        reasons += (Reason(f"{v.name}={v.value}", v.why, v.source) for v in draft.env)
    return tuple(Reason(*map(one_line, (r.item, r.why, r.source))) for r in dict.fromkeys(reasons))


def _strategy_reason(options: PlanOptions, selection: Selection) -> Reason:
    name, file, total = selection.strategy.name, selection.recipe.file, selection.gpus * selection.nodes
    if options.strategy:
        return Reason(name, SET_BY_USER, USER)
    if flags := [flag for flag, _ in options.settings if flag in STRATEGY_BY_FLAG]:
        return Reason(name, f"suits {flags[0]}, which is set by the user", USER)
    if isinstance(selection.recipe, ConfigRecipe):
        return Reason(
            name, "without a recipe: tensor parallelism on the fewest GPUs that fit", "rule: no recipe"
        )
    for rule in selection.recipe.extension.strategies:
        if rule.gpus is None or total <= rule.gpus:
            return Reason(name, rule.why or f"for {total} GPUs", f"{file}: x-slipway.strategies")
    return Reason(name, "the recipe's first choice here", f"{file}: default_strategy, compatible_strategies")


def _guide_note(options: PlanOptions, host: Host, selection: Selection, image: Image) -> tuple[str, ...]:
    """Return a note if the guide names another image, whose tag moves."""
    if options.access != "guide":
        return ()
    own = guide_container(selection.recipe, host).image
    return (f"the guide's own image is {own}; this plan uses {image.source.name or image.reference}",)


def _version_note(image: Image) -> tuple[str, ...]:
    """Return a note if the version is a guess, because the flags depend on it."""
    if not image.assumed:
        return ()
    guess = f"the plan assumes {image.vllm_version}; set it with --vllm"
    return (f"the vLLM version of {image.reference} is not known: {guess}",)


def _unchecked_note(options: PlanOptions, image: Image) -> tuple[str, ...]:
    """Return a note if the user's own options cannot be compared with what the image accepts."""
    known = known_names(image, parse(image.vllm_version))
    if known.checks_names or not (options.settings or options.env):
        return ()
    why = f"Slipway does not know what {image.reference} accepts"
    return (f"the options set by --set and --env are not checked: {why} (--capabilities PATH tells it)",)


def _notes(decision: Decision) -> tuple[str, ...]:
    """Return what was changed, what was not checked, and what would be better."""
    selection, draft, fit, shape = decision.selection, decision.drafts[0], decision.fit, decision.shape
    recipe = selection.recipe
    own = recipe.notes if isinstance(recipe, ConfigRecipe) else ()
    notes = [*own, *draft.corrections, *draft.notes, *decision.notes]
    notes += (tip.note for tip in recipe.extension.advice if tip.hardware == selection.hardware.id)
    if fit.result == "tight":
        notes.append(tight_note(fit, draft))
    if shape:
        notes += (refinement_note(shape, decision.layout), vision_note(shape, decision.layout.tp))
    elif decision.changed:
        names = ", ".join(decision.changed)
        notes.append(f"--hf-overrides changes {names}, so layout and memory were not checked")
    else:
        notes.append("the shape of the model is not known here, so layout and memory were not checked")
    notes += (f"{recipe.file}: unknown key, ignored: {key}" for key in recipe.unknown)
    return tuple(dict.fromkeys(note for note in notes if note))
