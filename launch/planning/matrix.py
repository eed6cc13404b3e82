"""Render every command that a folder of recipes stands for: one row for each model, hardware and strategy.

The rows have the keys of the renderings of vllm-project/recipes. A row that Slipway would refuse to start has a
`refused` field and no command. A changed row has a `corrected` field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from packaging.version import InvalidVersion, Version

from errors import Refused
from launch.planning import vllm_versions
from launch.planning.adapt import adapt
from launch.planning.command import recipe_command
from launch.planning.requirements import missing_for_precision
from launch.planning.selection import NO_VARIANT, Selection, enabled_features
from launch.planning.validation import layout_faults, layout_of
from launch.recipes.image import LATEST, image_of, version_in_tag
from launch.recipes.model_facts import published_shape
from launch.recipes.repository import RecipeRepository
from launch.recipes.schema import Recipe, Variant
from launch.recipes.strategy import Strategy, min_gpus, offered, runs_on, vram_minimum
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.inputs import Image
from launch.spec.model_config import ModelShape
from launch.spec.vllm_args import Draft, to_argv

MAX_NODES = 16  # the site's own limit for one deployment


@dataclass(frozen=True)
class VersionRange:
    """The vLLM versions of a row: that of its image, else from the recipe's oldest to the newest."""

    oldest: str
    newest: str
    source: str
    assumed: bool = False  # the image does not tell its version


def rows(
    repository: RecipeRepository,
    recipe: Recipe,
    shapes: dict[str, ModelShape],
    vllm: str = "",
    names: Collection[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one recipe, in a stable order. `vllm` is the one version to check them with.

    A variant with a checkpoint of its own has rows under the name of that checkpoint, unless a recipe has that name
    (`names`; default: those of the first folder). An omni model has no rows, because another program serves it.
    """
    if "omni" in recipe.meta.tasks:
        return
    taken = repository.first_folder_names() if names is None else names
    for model, name in _models(recipe, taken):
        for hardware in sorted(_hardware(repository, recipe, name), key=lambda profile: profile.id):
            variant = variant_for(recipe, hardware, name)
            if variant is None:
                continue
            for strategy in sorted(_strategies(repository, recipe, hardware), key=lambda item: item.name):
                found = row(recipe, variant, strategy, hardware, shapes, vllm)
                yield {**found, "model": model}


def _models(recipe: Recipe, taken: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that a recipe has rows under, each with its variant."""
    yield recipe.name, "default"
    for name, variant in recipe.variants.items():
        if variant.model_id and "/" in variant.model_id and variant.model_id not in taken:
            yield variant.model_id, name


def _hardware(repository: RecipeRepository, recipe: Recipe, name: str) -> Iterator[HardwareProfile]:
    """Yield the hardware that runs the variant; restricted hardware only if the recipe names it."""
    variant = recipe.variants.get(name, NO_VARIANT)
    for machine in repository.machines:
        hardware, support = repository.hardware[machine], recipe.meta.hardware.get(machine)
        if support == "unsupported" or (hardware.restricted and not support):
            continue
        if _is_listed(variant, hardware) and not missing_for_precision(variant, hardware):
            yield hardware


def _is_listed(variant: Variant, hardware: HardwareProfile) -> bool:
    return not variant.supported_hardware or hardware.id in variant.supported_hardware


def variant_for(recipe: Recipe, hardware: HardwareProfile, name: str = "default") -> str | None:
    """Return the variant; on a machine that cannot be joined with others the largest one that fits."""
    if hardware.scalable or _fits(recipe.variants.get(name, NO_VARIANT), hardware):
        return name
    fitting = {
        name: vram_minimum(variant, hardware)
        for name, variant in recipe.variants.items()
        if _fits(variant, hardware)
        and _is_listed(variant, hardware)
        and not missing_for_precision(variant, hardware)
    }
    return max(fitting, key=fitting.__getitem__, default=None)


def _fits(variant: Variant, hardware: HardwareProfile) -> bool:
    node = hardware.vram_gib * hardware.per_node
    return not node or vram_minimum(variant, hardware) <= node


def _strategies(
    repository: RecipeRepository, recipe: Recipe, hardware: HardwareProfile
) -> Iterator[Strategy]:
    for name in dict.fromkeys(offered(recipe)):
        strategy = repository.strategies.get(name)
        if strategy is None or strategy.deploy_type not in ("single_node", "multi_node"):
            continue
        most = (MAX_NODES if strategy.multi_node else 1) * (hardware.per_node or 1)
        if not runs_on(recipe, name, hardware) or min_gpus(recipe, name, hardware) > most:
            continue
        if hardware.scalable or not name.startswith("multi_node_"):
            yield strategy


def row(
    recipe: Recipe,
    variant: str,
    strategy: Strategy,
    hardware: HardwareProfile,
    shapes: dict[str, ModelShape],
    vllm: str = "",
) -> dict[str, Any]:
    """Return the row of one command. `refused` and `corrected` are present only if they say something."""
    gpus = hardware.per_node or 1
    nodes = max(2 if strategy.multi_node else 1, -(-min_gpus(recipe, strategy.name, hardware) // gpus))
    bare = Selection(recipe, variant, strategy, hardware, gpus, nodes)
    selection = replace(bare, features=enabled_features(bare))
    image = image_of(recipe, selection.variant, hardware)
    versions = versions_of(recipe, selection.variant, image, vllm)
    drafts = [recipe_command(selection, rank) for rank in range(min(nodes, 2))]
    try:
        drafts = [adapt(draft, Image(image, versions.newest, assumed=versions.assumed)) for draft in drafts]
        shape = shapes.get(selection.model_id) or published_shape(selection.model_id)
        refused = _refused(drafts[0], selection, shape, versions)
    except Refused as error:
        refused = f"{error.what} ({error.why})" if error.why else error.what
    remarks = {"refused": refused} if refused else {}
    corrected = "; ".join(drafts[0].corrections)
    if corrected and not refused:
        remarks["corrected"] = corrected
    return {**_head(selection, drafts[0], image), **_commands(selection, drafts, refused), **remarks}


def _head(selection: Selection, draft: Draft, image: str) -> dict[str, Any]:
    return {
        "model": selection.recipe.name,
        "hardware": selection.hardware.id,
        "strategy": selection.strategy.name,
        "variant": selection.variant_name,
        "node_count": selection.nodes,
        "env": {variable.name: variable.value for variable in draft.env},
        "docker_image": image,
    }


def _commands(selection: Selection, drafts: list[Draft], refused: str) -> dict[str, Any]:
    """Return the command of each role; empty commands in a refused row, so that they cannot be pasted."""
    names = ("head_argv", "worker_argv") if selection.strategy.multi_node else ("argv",)
    if refused:
        return {name: [] for name in names}
    return {
        name: ["vllm", "serve", selection.model_id, *to_argv(draft.args)]
        for name, draft in zip(names, drafts, strict=True)
    }


def versions_of(recipe: Recipe, variant: Variant, image: str, vllm: str = "") -> VersionRange:
    """Return the versions to check a row with."""
    newest = vllm_versions.table().newest
    exact = vllm or version_in_tag(image)
    if exact:
        return VersionRange(exact, exact, "--vllm" if vllm else image)
    if image.endswith("nightly"):
        return VersionRange(newest, newest, image)
    assumed = image not in LATEST.values()
    oldest = variant.min_vllm_version or recipe.model.min_vllm_version
    try:
        Version(oldest)
    except InvalidVersion:
        return VersionRange(newest, newest, image, assumed)
    return VersionRange(oldest, newest, "min_vllm_version", assumed)


def _refused(draft: Draft, selection: Selection, shape: ModelShape | None, versions: VersionRange) -> str:
    """Return why this command cannot run, "" if no reason is known."""
    try:
        layout = layout_of(draft, selection, shape)
    except Refused as error:
        return error.what
    for version in dict.fromkeys((versions.newest, versions.oldest)):
        reasons = layout_faults(draft, layout, shape, selection, str(vllm_versions.parse(version)))
        if reasons:
            older = f", and the recipe is for {version} and later ({versions.source})"
            return "; ".join(reasons) + (older if version != versions.newest else "")
    return ""
