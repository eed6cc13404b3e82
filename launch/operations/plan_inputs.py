"""Collect the inputs of a plan (recipe, hardware, free GPUs, image) and make the plan.

What only some plans need is imported where it is used: `invoke plan` for named hardware takes 0.3 s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Refused, SlipwayError, choice
from launch.operations.host_facts import gather
from launch.planning.choice import NO_VARIANT
from launch.planning.planner import make_plan
from launch.planning.selection import variant_of
from launch.planning.vllm_versions import image_for
from launch.recipes.image import asked_for, version_of
from launch.recipes.repository import checkpoints, known_shapes, open_repository
from launch.recipes.schema import Recipe
from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import Hardware
from launch.spec.inputs import Image
from launch.spec.plan import Plan
from launch.spec.plan_options import PLATFORMS, PlanOptions

if TYPE_CHECKING:
    from launch.allocation.selected_gpus import Chosen


def plan_of(options: PlanOptions) -> Plan:
    """Make the plan that these options describe, for this host or for the named hardware."""
    if options.platform not in ("", *PLATFORMS):
        raise choice("platform", options.platform, PLATFORMS)
    repository = open_repository(options.recipes)
    recipe = repository.recipe(options.model)
    models = (options.nodes, checkpoints(recipe), known_shapes())
    if options.hardware or options.platform == "cpu":
        hardware = _named_hardware(repository.hardware, options.hardware or "cpu", options.platform)
        host = gather(hardware, _gpu_count(options.gpus, hardware), *models)
    else:
        gpus = _free_gpus(options)
        hardware, host = gpus.hardware, gpus.on(gather(gpus.hardware, gpus.ranks, *models))
    return make_plan(options, host, recipe, _image(options, recipe, hardware), repository.strategies)


def _named_hardware(catalog: Mapping[str, Hardware], name: str, platform: str) -> Hardware:
    if name not in catalog:
        raise choice("hardware", name, tuple(catalog))
    hardware = catalog[name]
    if platform and hardware.platform != platform:
        raise Refused(
            f"'{name}' is {hardware.platform} hardware, not {platform}", fix=f"--platform {hardware.platform}"
        )
    return hardware


def _gpu_count(gpus: str, hardware: Hardware) -> int:
    """Return the number of GPUs on each node of named hardware; by default all that such a node has."""
    if gpus and not (gpus.isascii() and gpus.isdigit() and int(gpus) > 0):
        raise Refused(
            f"--gpus must be a positive integer for {hardware.id} (got '{gpus}')",
            why="GPU indices can be used only on the local machine",
            fix="--gpus 4",
        )
    return int(gpus or hardware.per_node or 1)


def _free_gpus(options: PlanOptions) -> Chosen:
    """Choose GPUs of this host that no other container uses. The server that this plan replaces does not count."""
    from launch.allocation.gpus import holders
    from launch.allocation.selected_gpus import take
    from launch.engine import client as engine_client
    from launch.engine.containers import name_for
    from launch.hardware.detect import detect

    try:
        client = engine_client.connect()
        running, by_cdi = holders(client), engine_client.cdi_reason(client)
    except SlipwayError:
        running, by_cdi = (), ""  # a plan needs no engine; `invoke run` does
    gpus = take(detect(), options.gpus, options.platform, running, own=name_for(options.model))
    return replace(gpus, by_cdi=by_cdi)


def _image(options: PlanOptions, recipe: Recipe, hardware: Hardware) -> Image:
    """Return the named image, that of the recipe, Slipway's own for a CPU, or upstream's of the wanted version."""
    image, capabilities = options.image, _read_capabilities(options.capabilities)
    if not (image or options.vllm or capabilities) and hardware.platform == "cpu":
        return _own_image("cpu")
    if not (image or options.vllm):
        image = asked_for(recipe, recipe.variants.get(variant_of(options, recipe), NO_VARIANT), hardware)
    return image_for(hardware.platform, options.vllm or version_of(image), image, capabilities)


def _own_image(platform: str) -> Image:
    """Return the image that the lock describes, with its capabilities if it is already built."""
    from images import capabilities as image_capabilities
    from images.build import pipeline
    from images.lock import lockfile
    from launch.engine import client as engine_client

    tag, version = pipeline.reference(platform), lockfile.load().platform(platform).vllm.version
    try:
        found = image_capabilities.of(engine_client.connect(), tag)
    except SlipwayError:
        found = None
    return image_for(platform, version, tag, found)


def _read_capabilities(path: str) -> Capabilities | None:
    if not path:
        return None
    try:
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read the capabilities file '{path}'", why=str(error)) from error
    if not isinstance(data, dict):
        raise Refused(f"the capabilities file '{path}' must hold a JSON object")
    return Capabilities.of(data)
