"""The edge of planning: a command line, files and this machine become what the planner takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errors import Refused, choice

if TYPE_CHECKING:
    from launch.allocation.selected_gpus import Chosen
    from launch.recipes.repository import RecipeRepository
    from launch.recipes.schema import Recipe
    from launch.spec.capabilities import Capabilities
    from launch.spec.gpu_catalog import Hardware
    from launch.spec.inputs import Image, PlanOptions
    from launch.spec.plan import Plan


def plan_of(options: PlanOptions) -> Plan:
    """Make the plan that these options describe, on this host or on the named hardware."""
    from launch.operations.host_facts import gather
    from launch.planning.planner import make_plan
    from launch.recipes.repository import checkpoints, known_shapes, open_repository
    from launch.spec.plan_options import PLATFORMS

    if options.platform not in ("", *PLATFORMS):
        raise choice("platform", options.platform, PLATFORMS)
    book = open_repository(options.recipes)
    recipe = book.recipe(options.model)
    rest = (options.nodes, checkpoints(recipe), known_shapes())
    if options.hardware or options.platform == "cpu":
        machine = machine_of(book, options.hardware, options.platform)
        host = gather(machine, _ranks(options.gpus, machine), *rest)
    else:
        found = here(options.gpus, options.platform, options.model)
        machine, host = found.hardware, found.on(gather(found.hardware, found.ranks, *rest))
    return make_plan(options, host, recipe, image_of(options, recipe, machine), book.strategies)


def _ranks(gpus: str, machine: Hardware) -> int:
    """How many GPUs of a named machine: the user's number, else all of a node."""
    if gpus and not (gpus.isascii() and gpus.isdigit() and int(gpus) > 0):
        why = "GPUs are told apart by name on this machine's own GPUs alone"
        raise Refused(f"--gpus {gpus}: a number is wanted for {machine.id}", why=why, fix="--gpus 4")
    return int(gpus or machine.per_node or 1)


def here(gpus: str, platform: str, model: str) -> Chosen:
    """GPUs of this host: the named ones, or free ones that nobody else's container holds."""
    from dataclasses import replace

    from errors import SlipwayError
    from launch.allocation.gpus import holders
    from launch.allocation.selected_gpus import take
    from launch.engine.client import cdi_reason, connect
    from launch.engine.containers import name_for
    from launch.hardware.detect import detect

    try:
        client = connect()
        running, by_cdi = holders(client), cdi_reason(client)
    except SlipwayError:
        running, by_cdi = (), ""  # a plan needs no engine; `invoke run` has one by then
    return replace(take(detect(), gpus, platform, running, own=name_for(model)), by_cdi=by_cdi)


def built(platform: str) -> Image:
    """Describe the image that `invoke build` makes: its capabilities if the engine has it, else the lock's version."""
    from errors import SlipwayError
    from images import capabilities
    from images.build.pipeline import reference
    from images.lock.lockfile import load
    from launch.engine.client import connect
    from launch.planning.vllm_versions import image_for

    tag, version = reference(platform), load().platform(platform).vllm.version
    try:
        found = capabilities.of(connect(), tag)
    except SlipwayError:
        found = None
    return image_for(platform, version, tag, found)


def image_of(options: PlanOptions, recipe: Recipe, machine: Hardware) -> Image:
    """The named image, what the recipe pins, what we build for a CPU, or upstream's of that version."""
    from launch.planning.choice import NO_VARIANT
    from launch.planning.selection import variant_of
    from launch.planning.vllm_versions import image_for
    from launch.recipes.image import asked_for, version_of

    image, capabilities = options.image, capabilities_from(options.capabilities)
    if not (image or options.vllm or capabilities) and machine.platform == "cpu":
        return built("cpu")
    if not (image or options.vllm):
        image = asked_for(recipe, recipe.variants.get(variant_of(options, recipe), NO_VARIANT), machine)
    return image_for(machine.platform, options.vllm or version_of(image), image, capabilities)


def machine_of(book: RecipeRepository, hardware: str, platform: str) -> Hardware:
    """The named hardware, or the CPU. Raises Refused for an unknown one."""
    hardware = hardware or "cpu"
    if hardware not in book.hardware:
        raise choice("hardware", hardware, tuple(book.hardware))
    found = book.hardware[hardware]
    if platform and found.platform != platform:
        raise Refused(f"{hardware} is {found.platform}, not {platform}", fix=f"--platform {found.platform}")
    return found


def capabilities_from(path: str) -> Capabilities | None:
    """Read capabilities from a JSON file. Raises Refused if it cannot be read."""
    import json
    from pathlib import Path

    from launch.spec.capabilities import Capabilities

    if not path:
        return None
    try:
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"--capabilities {path}: cannot be read", why=str(error)) from error
    if not isinstance(data, dict):
        raise Refused(f"--capabilities {path}: not a JSON object")
    return Capabilities.of(data)
