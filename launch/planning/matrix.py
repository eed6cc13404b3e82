"""Every command that a folder of recipes stands for: one row for each model, hardware and strategy.

The rows have the keys of the renderings of vllm-project/recipes. Where we would not start what stands there,
the row says `refused` with the arithmetic, or `corrected` with what was changed and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from packaging.version import InvalidVersion, Version

from errors import Refused
from launch.planning import vllm_versions
from launch.planning.choice import Choice
from launch.planning.command import synthesise
from launch.planning.features import features_on
from launch.planning.selection import lacks
from launch.planning.validation import faults, layout_of
from launch.recipes.image import image_of, version_of
from launch.recipes.repository import RecipeRepository
from launch.recipes.schema import Recipe, Variant
from launch.recipes.strategy import Strategy, min_gpus, offered, runs_on, vram_minimum
from launch.spec.gpu_catalog import Hardware
from launch.spec.inputs import Image
from launch.spec.model_config import Shape
from launch.spec.vllm_args import Draft, words

MOST_NODES = 16  # the site's own limit for one deployment


@dataclass(frozen=True)
class Span:
    """The vLLM versions that a row is for: its image's, else from the recipe's oldest to the newest."""

    oldest: str
    newest: str
    why: str


def rows(
    book: RecipeRepository, recipe: Recipe, shapes: dict[str, Shape], vllm: str = ""
) -> Iterator[dict[str, Any]]:
    """The rows of one recipe, in a stable order; `vllm` is one version to judge them by.

    None for an omni model: another binary serves it, without strategies.
    """
    if "omni" in recipe.meta.tasks:
        return
    for hardware in sorted(_hardware(book, recipe), key=lambda item: item.id):
        variant = variant_for(recipe, hardware)
        if variant is None:
            continue
        for strategy in sorted(_strategies(book, recipe, hardware), key=lambda item: item.name):
            yield row(recipe, variant, strategy, hardware, shapes, vllm)


def _hardware(book: RecipeRepository, recipe: Recipe) -> Iterator[Hardware]:
    """Where the default variant can run; special machines only where the recipe names them."""
    default = recipe.variants.get("default", Variant())
    for name in book.machines:
        hardware, said = book.hardware[name], recipe.meta.hardware.get(name)
        listed = not default.supported_hardware or name in default.supported_hardware
        if (
            said != "unsupported"
            and listed
            and not lacks(default, hardware)
            and (said or not hardware.restricted)
        ):
            yield hardware


def variant_for(recipe: Recipe, hardware: Hardware) -> str | None:
    """The default variant; on a machine that cannot be joined with others the largest one that fits it."""
    if hardware.scalable or _fits(recipe.variants.get("default", Variant()), hardware):
        return "default"
    fitting = [
        (vram_minimum(variant, hardware), name)
        for name, variant in recipe.variants.items()
        if _fits(variant, hardware)
        and not lacks(variant, hardware)
        and (not variant.supported_hardware or hardware.id in variant.supported_hardware)
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _fits(variant: Variant, hardware: Hardware) -> bool:
    node = hardware.vram_gib * hardware.per_node
    return not node or vram_minimum(variant, hardware) <= node


def _strategies(book: RecipeRepository, recipe: Recipe, hardware: Hardware) -> Iterator[Strategy]:
    for name in dict.fromkeys(offered(recipe)):
        strategy = book.strategies.get(name)
        if strategy is None or strategy.deploy_type not in ("single_node", "multi_node"):
            continue
        reach = (MOST_NODES if strategy.multi else 1) * (hardware.per_node or 1)
        if not runs_on(recipe, name, hardware) or min_gpus(recipe, name, hardware) > reach:
            continue
        if hardware.scalable or not name.startswith("multi_node_"):
            yield strategy


def row(
    recipe: Recipe,
    variant: str,
    strategy: Strategy,
    hardware: Hardware,
    shapes: dict[str, Shape],
    vllm: str = "",
) -> dict[str, Any]:
    """One command. `refused` and `corrected` are there only where there is something to say."""
    gpus = hardware.per_node or 1
    nodes = max(2 if strategy.multi else 1, -(-min_gpus(recipe, strategy.name, hardware) // gpus))
    bare = Choice(recipe, variant, strategy, hardware, gpus, nodes)
    choice = replace(bare, features=features_on(bare))
    image = image_of(recipe, choice.variant, hardware)
    span = span_of(recipe, choice.variant, image, vllm)
    drafts = [
        vllm_versions.adapt(synthesise(choice, rank), Image(image, span.newest))
        for rank in range(min(nodes, 2))
    ]
    refused = _refused(drafts[0], choice, shapes.get(choice.model_id), span)
    remarks = {"refused": refused} if refused else {}
    changed = "; ".join(drafts[0].corrections)
    if changed and not refused:
        remarks["corrected"] = changed
    return {**_head(choice, drafts[0], image), **_commands(choice, drafts, refused), **remarks}


def _head(choice: Choice, draft: Draft, image: str) -> dict[str, Any]:
    return {
        "model": choice.recipe.name,
        "hardware": choice.hardware.id,
        "strategy": choice.strategy.name,
        "variant": choice.variant_name,
        "node_count": choice.nodes,
        "env": {setting.name: setting.value for setting in draft.env},
        "docker_image": image,
    }


def _commands(choice: Choice, drafts: list[Draft], refused: str) -> dict[str, Any]:
    """The command of each role; nothing that could be pasted where it is refused."""
    names = ("head_argv", "worker_argv") if choice.strategy.multi else ("argv",)
    if refused:
        return {name: [] for name in names}
    return {
        name: ["vllm", "serve", choice.model_id, *words(draft.args)]
        for name, draft in zip(names, drafts, strict=True)
    }


def span_of(recipe: Recipe, variant: Variant, image: str, vllm: str = "") -> Span:
    """The versions to hold a row against."""
    newest = vllm_versions.table().newest
    exact = vllm or version_of(image)
    if exact:
        return Span(exact, exact, "--vllm" if vllm else image)
    if image.endswith("nightly"):
        return Span(newest, newest, image)
    oldest = variant.min_vllm_version or recipe.model.min_vllm_version
    try:
        Version(oldest)
    except InvalidVersion:
        return Span(newest, newest, image)
    return Span(oldest, newest, "min_vllm_version")


def _refused(draft: Draft, choice: Choice, shape: Shape | None, span: Span) -> str:
    """Why nobody should start this; "" where we know of nothing."""
    try:
        layout = layout_of(draft, choice, shape)
    except Refused as error:
        return error.what
    for version in dict.fromkeys((span.newest, span.oldest)):
        reasons = faults(draft, layout, shape, choice, str(vllm_versions.parse(version)))
        if reasons:
            claim = f", and the recipe is for {version} on ({span.why})" if version != span.newest else ""
            return "; ".join(reasons) + claim
    return ""
