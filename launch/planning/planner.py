"""From a recipe, a host and a wish to a plan: legal, fitting, and with a reason for everything in it.

Pure: facts in, a frozen Plan out. The steps are the lines of `make_plan`, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from launch.access.builder import Access
from launch.access.profiles import SERVES_ON, grant, guide_for
from launch.planning import overrides, vllm_versions
from launch.planning import parallelism as layouts
from launch.planning.choice import Choice
from launch.planning.command import synthesise, within_node
from launch.planning.memory_check import fit_of
from launch.planning.selection import select
from launch.planning.validation import check_image, check_layout, layout_of, release, widest_legal
from launch.recipes import strategy
from launch.recipes.schema import Recipe
from launch.recipes.strategy import Strategy
from launch.spec.inputs import Host, Image, PlanOptions
from launch.spec.model_config import Shape
from launch.spec.plan import Fit, Layout, Plan, Process, Reason, Rejected
from launch.spec.vllm_args import Arg, Draft, in_order, words


@dataclass(frozen=True)
class Decision:
    """Everything that was decided, before it is written down as a plan. One draft a node."""

    choice: Choice
    shape: Shape | None
    layout: Layout
    drafts: tuple[Draft, ...]
    fit: Fit
    access: Access
    idle: str = ""


def make_plan(
    options: PlanOptions,
    host: Host,
    recipe: Recipe,
    image: Image,
    strategies: Mapping[str, Strategy] | None = None,
) -> Plan:
    """The plan of a wish.

    Raises Refused with the arithmetic where the layout is illegal, with the largest context where it cannot
    fit, and with the known names where the recipe does not have what was asked for.
    """
    choice = select(options, host, recipe, strategies or strategy.known())
    check_image(choice, image, host)
    shape = shape_of(choice, host)
    choice, idle = widest_legal(options, choice, shape, image)
    drafts = [command(choice, options, image, rank) for rank in range(host.nodes)]
    layout = layout_of(drafts[0], choice, shape)
    check_layout(layout, drafts[0], choice, shape, image)
    fit, shorter = fit_of(drafts[0], layout, shape, host, choice)
    access = grant(options, host, recipe, max(1, layout.gpus // host.nodes))
    finished = tuple(finish(draft.add(shorter), recipe, access) for draft in drafts)
    return write(options, host, image, Decision(choice, shape, layout, finished, fit, access, idle))


def shape_of(choice: Choice, host: Host) -> Shape | None:
    """From the snapshot in the HF cache, else from the recipe, for the checkpoint that the shape is of."""
    own = choice.recipe.ours.shape if choice.model_id == choice.recipe.model.model_id else None
    return host.shapes.get(choice.model_id) or own


def command(choice: Choice, options: PlanOptions, image: Image, rank: int) -> Draft:
    """The options of one node: the recipe's, the user's, in the words of the image's vLLM."""
    draft = within_node(choice, overrides.apply(synthesise(choice, rank), options, choice.recipe), rank)
    on_the_hosts_network = choice.nodes > 1 or options.access == "guide"
    if on_the_hosts_network and options.port != SERVES_ON:  # there the server's port is the host's
        draft = draft.add((Arg("--port", (str(options.port),), vllm_versions.USER, "your word"),))
    return vllm_versions.adapt(draft, image)


def finish(draft: Draft, recipe: Recipe, access: Access) -> Draft:
    """In the recipe's own order, with the container's variables where no one else set them."""
    there = {setting.name for setting in draft.env}
    env = (setting for setting in access.env if setting.name not in there)
    return replace(draft, args=in_order(draft.args, recipe.ours.order)).add(env=env)


def write(options: PlanOptions, host: Host, image: Image, made: Decision) -> Plan:
    """The decision as a plan."""
    choice = made.choice
    judged = layouts.verdicts(made.shape, host.gpus, host.nodes, release(image))
    by_guide = options.access == "guide"
    return Plan(
        model=choice.model_id,
        platform=host.hardware.platform,
        image=guide_for(choice.recipe, host).image if by_guide else image.reference,
        vllm_version=image.vllm_version,
        strategy=choice.strategy.name,
        layout=made.layout,
        processes=tuple(_process(choice, draft, rank) for rank, draft in enumerate(made.drafts)),
        container=replace(made.access.container, entrypoint=() if by_guide else image.entrypoint),
        fit=made.fit,
        rejected=tuple(
            Rejected(layouts.name(v.layout), "; ".join(v.reasons)) for v in judged if v.legal is False
        ),
        reasons=(*_reasons(options, choice, made.drafts), *made.access.reasons),
        hardware=host.hardware.id,
        budgets=tuple(choice.recipe.ours.budgets.items()),
        notes=(*_notes(made), *_version_note(image), *made.access.notes),
    )


def _process(choice: Choice, draft: Draft, rank: int) -> Process:
    role = "server" if choice.nodes == 1 else ("worker" if rank else "head")
    argv = ("vllm", "serve", choice.model_id, *words(draft.args))
    return Process(role, rank, argv, tuple((setting.name, setting.value) for setting in draft.env))


def _reasons(options: PlanOptions, choice: Choice, drafts: Sequence[Draft]) -> tuple[Reason, ...]:
    found = [_why_strategy(options, choice)]
    for draft in drafts:
        found += (Reason(" ".join(arg.tokens), arg.why, arg.source) for arg in draft.args)
        found += (Reason(f"{s.name}={s.value}", s.why, s.source) for s in draft.env)
    return tuple(dict.fromkeys(found))


def _why_strategy(options: PlanOptions, choice: Choice) -> Reason:
    name, file, total = choice.strategy.name, choice.recipe.file, choice.gpus * choice.nodes
    if options.strategy:
        return Reason(name, "your word", vllm_versions.USER)
    for rule in choice.recipe.ours.strategies:
        if rule.gpus is None or total <= rule.gpus:
            return Reason(name, rule.why or f"for {total} GPUs", f"{file}: x-slipway.strategies")
    return Reason(name, "the recipe's first choice here", f"{file}: default_strategy, compatible_strategies")


def _version_note(image: Image) -> tuple[str, ...]:
    """Flags depend on the version, so a guess at it is said."""
    if not image.assumed:
        return ()
    planned = f"planned as {image.vllm_version}; --vllm says better"
    return (f"{image.reference} does not say which vLLM it has: {planned}",)


def _notes(made: Decision) -> tuple[str, ...]:
    """What a careful reader should know: what was changed, what was not checked, what would be better."""
    choice, draft, fit = made.choice, made.drafts[0], made.fit
    found = [*draft.corrections, *draft.notes, made.idle]
    found += (tip.note for tip in choice.recipe.ours.advice if tip.hardware == choice.hardware.id)
    if fit.verdict == "unknown" and fit.kv_tokens_per_replica is not None:
        found.append(f"memory is too close to call: about {fit.kv_tokens_per_replica:,} tokens a replica")
    found.append(layouts.refined(made.shape, made.layout) if made.shape else "")
    if made.shape is None:
        found.append("the model's shape is not known here, so its layout and memory were not checked")
    found += (f"{choice.recipe.file}: key not known, kept unread: {key}" for key in choice.recipe.unknown)
    return tuple(dict.fromkeys(note for note in found if note))
