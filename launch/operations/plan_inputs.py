"""Collect the inputs of a plan (recipe, hardware, free GPUs, image) and make the plan.

What only some plans need is imported where it is used: `invoke plan` for named hardware takes 0.3 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Refused, SlipwayError, choice
from launch.operations import plan_image
from launch.operations.find_recipe import FoundRecipe, find_recipe
from launch.operations.host_facts import gather, storage_of
from launch.operations.locked_models import with_commit
from launch.planning.planner import make_plan
from launch.planning.selection import model_of
from launch.planning.validation import MAX_RANKS
from launch.recipes.from_config import ConfigRecipe
from launch.recipes.repository import checkpoints, open_repository, shapes_for
from launch.spec.gpu_catalog import HardwareProfile, find
from launch.spec.inputs import Host, Image, WeightStorage
from launch.spec.plan import Plan
from launch.spec.plan_options import PLATFORMS, PlanOptions, server_name
from launch.spec.server_name import name_for
from launch.weights.cache import ModelFolder, cache_folder

DIGITS = 20  # of a number in a message

if TYPE_CHECKING:
    from launch.allocation.selected_gpus import SelectedGpus
    from launch.recipes.schema import Recipe


def plan_of(options: PlanOptions, image: Image | None = None, found: FoundRecipe | None = None) -> Plan:
    """Make the plan that these options describe, for this host or for the named hardware.

    `image` and `found` were looked up before, so that a tag is not resolved, and a Hub not asked, again.
    """
    if options.prefer:
        from launch.operations.measured_layout import preferred

        return preferred(options, lambda wanted: plan_of(wanted, image, found))
    if options.platform not in ("", *PLATFORMS):
        raise choice("platform", options.platform, PLATFORMS)
    if options.name:
        server_name("--name", options.name)
    found = found or recipe_of(options)
    repository, recipe = found.repository, found.recipe
    models = (options.nodes, checkpoints(recipe), shapes_for(recipe), options.memory_limit)
    if options.hardware or options.platform == "cpu":
        hardware = _named_hardware(repository.hardware, options.hardware or "cpu", options.platform)
        host = gather(hardware, _gpu_count(options.gpus, hardware), *models)
    else:
        gpus = _free_gpus(options, model_of(options, recipe))
        hardware, host = gpus.hardware, gpus.on(gather(gpus.hardware, gpus.ranks, *models))
    model = model_of(options, recipe)
    host = with_commit(host, model, options.revision, cached=not options.hardware, lock=options.lock)
    if not options.hardware:
        host = replace(host, storage=_storage(host, recipe, model))
    chosen = image or plan_image.choose(options, recipe, hardware)
    plan = make_plan(options, host, recipe, chosen, repository.strategies)
    return replace(plan, reasons=(*found.reasons, *plan.reasons)) if found.reasons else plan


def _storage(host: Host, recipe: Recipe, model: str) -> WeightStorage | None:
    """Return where this host has the weights of a plan: the local folder, or the snapshot in the cache."""
    if isinstance(recipe, ConfigRecipe) and recipe.folder:
        return storage_of(Path(recipe.folder))
    commit = host.commits.get(model)
    return storage_of(ModelFolder(cache_folder(), model).snapshot(commit.commit)) if commit else None


def recipe_of(options: PlanOptions) -> FoundRecipe:
    """Return the recipe of the model that these options name. Raises Refused or Failed."""
    return find_recipe(open_repository(options.recipes), options.model, options.revision, options.lock)


def _named_hardware(catalog: Mapping[str, HardwareProfile], name: str, platform: str) -> HardwareProfile:
    hardware = find(catalog, name)
    if hardware is None:
        raise choice("hardware", name, tuple(catalog))
    if platform and hardware.platform != platform:
        raise Refused(
            f"'{name}' is {hardware.platform} hardware, not {platform}", fix=f"--platform {hardware.platform}"
        )
    return hardware


def _gpu_count(gpus: str, hardware: HardwareProfile) -> int:
    """Return the number of GPUs on each node of named hardware; by default all that such a node has."""
    most = MAX_RANKS
    if gpus and not (gpus.isascii() and gpus.isdigit() and len(gpus) < DIGITS and 0 < int(gpus) <= most):
        raise Refused(
            f"--gpus must be an integer from 1 to {most:,} for {hardware.id} (got '{gpus[:DIGITS]}')",
            why="GPU indices can be used only on the local machine" if "," in gpus else "",
            fix="--gpus 4",
        )
    return int(gpus or hardware.per_node or 1)


def _free_gpus(options: PlanOptions, model: str) -> SelectedGpus:
    """Choose GPUs of this host that no other container uses. The server that this plan replaces does not count."""
    from launch.allocation.holders import holders
    from launch.allocation.selected_gpus import select_gpus
    from launch.engine import client as engine_client
    from launch.hardware.detect import detect

    try:
        client = engine_client.connect()
        running, cdi_reason = holders(client), engine_client.cdi_reason(client)
        runtime = engine_client.runtime(client)
    except SlipwayError:
        running, cdi_reason, runtime = (), "", ""  # a plan needs no engine; `invoke run` does
    gpus = select_gpus(detect(), options.gpus, options.platform, running, options.name or name_for(model))
    return replace(gpus, cdi_reason=cdi_reason, runtime=runtime)
