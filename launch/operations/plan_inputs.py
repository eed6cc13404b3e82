"""The edge of planning: a command line, files and this machine become what the planner takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.task import one_of, pairs
from errors import Refused, choice

if TYPE_CHECKING:
    from launch.allocation.selected_gpus import SelectedGpus
    from launch.recipes.repository import RecipeRepository
    from launch.recipes.schema import Recipe
    from launch.spec.gpu_catalog import HardwareProfile
    from launch.spec.inputs import Capabilities, Image, PlanOptions
    from launch.spec.plan import Plan

PLATFORMS = ("cuda", "rocm", "cpu")


def plan_of(
    *,
    hardware: str = "",
    platform: str = "",
    gpus: str = "",
    nodes: int = 1,
    vllm: str = "",
    image: str = "",
    capabilities: str = "",
    recipes: str = "",
    **words: Any,
) -> Plan:
    """The plan that the options of `invoke plan` describe, on this machine or on the named hardware."""
    from launch.operations.host_facts import gather
    from launch.planning.planner import make_plan
    from launch.recipes.repository import builtin_shapes, checkpoints, open_repository

    options = options_of(**words)
    book = open_repository(recipes)
    recipe = book.recipe(options.model)
    rest = (nodes, checkpoints(recipe), builtin_shapes())
    if hardware or platform == "cpu":
        machine = machine_of(book, hardware, platform)
        host = gather(machine, _ranks(gpus, machine), *rest)
    else:
        found = here(gpus, platform, options.model)
        machine, host = found.hardware, found.on(gather(found.hardware, found.ranks, *rest))
    chosen = image_of(options, recipe, machine, vllm, image, capabilities_from(capabilities))
    return make_plan(options, host, recipe, chosen, book.strategies)


def _ranks(gpus: str, machine: HardwareProfile) -> int:
    """How many GPUs of a named machine: the user's number, else all of a node."""
    if gpus and not (gpus.isascii() and gpus.isdigit() and int(gpus) > 0):
        why = "GPUs are told apart by name on this machine's own GPUs alone"
        raise Refused(f"--gpus {gpus}: a number is wanted for {machine.id}", why=why, fix="--gpus 4")
    return int(gpus or machine.per_node or 1)


def here(gpus: str, platform: str, model: str) -> SelectedGpus:
    """GPUs of this host: the named ones, or free ones that nobody else's container holds."""
    from dataclasses import replace

    from errors import SlipwayError
    from launch.allocation.gpus import holders
    from launch.allocation.selected_gpus import select_gpus
    from launch.engine.client import by_cdi_alone, connect
    from launch.engine.containers import name_for
    from launch.hardware.detect import detect

    if platform:
        one_of("platform", platform, PLATFORMS)
    try:
        client = connect()
        running, cdi_reason = holders(client), by_cdi_alone(client)
    except SlipwayError:
        running, cdi_reason = (), ""  # a plan needs no engine; `invoke run` has one by then
    return replace(select_gpus(detect(), gpus, platform, running, own=name_for(model)), cdi_reason=cdi_reason)


def options_of(
    *,
    model: str,
    strategy: str = "",
    variant: str = "",
    feature: Sequence[str] | None = None,
    no_feature: Sequence[str] | None = None,
    responses_api: bool = False,
    workaround: Sequence[str] | None = None,
    max_model_len: str = "",
    set_: Sequence[str] | None = None,
    env: Sequence[str] | None = None,
    access: str = "least",
    port: int = 8000,
    listen: str = "127.0.0.1",
    cdi: str = "auto",
) -> PlanOptions:
    """The words of a command line as a wish. Raises Refused for a word that is none."""
    from launch.spec.inputs import PlanOptions

    if not 0 < port < 65536:
        raise Refused(f"--port {port}: a port is between 1 and 65535")
    return PlanOptions(
        model=model,
        strategy=strategy,
        variant=variant,
        features=tuple((word.partition("=")[0], word.partition("=")[2]) for word in feature or ()),
        without=tuple(no_feature or ()),
        responses_api=responses_api,
        workarounds=tuple(workaround or ()),
        max_model_len=_tokens(max_model_len),
        settings=pairs("--set", list(set_ or ())),
        env=pairs("--env", list(env or ())),
        access=access,
        port=port,
        listen=listen,
        cdi=cdi,
    )


def _tokens(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise Refused(f"--max-model-len {text}: a number of tokens is wanted", fix="--max-model-len 32768")
    return int(text)


def built(platform: str) -> Image:
    """Our own image: with its contract where an engine has it, else what the lock will make of it."""
    from dataclasses import asdict

    from errors import SlipwayError
    from images import capabilities
    from images.build.pipeline import reference
    from images.lock.lockfile import load
    from launch.engine.client import connect
    from launch.planning.vllm_versions import image_for
    from launch.spec.inputs import Capabilities

    tag, version = reference(platform), load().platform(platform).vllm.version
    try:
        found = capabilities.of(connect(), tag)
    except SlipwayError:
        found = None
    return image_for(platform, version, tag, Capabilities.of(asdict(found)) if found else None)


def image_of(
    options: PlanOptions,
    recipe: Recipe,
    machine: HardwareProfile,
    vllm: str,
    image: str,
    capabilities: Capabilities | None,
) -> Image:
    """The named image, what the recipe pins, what we build for a CPU, or upstream's of that version."""
    from launch.planning.selection import NO_VARIANT, variant_of
    from launch.planning.vllm_versions import image_for
    from launch.recipes.image import named_image, version_in_tag

    if not (image or vllm or capabilities) and machine.platform == "cpu":
        return built("cpu")
    if not (image or vllm):
        image = named_image(recipe, recipe.variants.get(variant_of(options, recipe), NO_VARIANT), machine)
    return image_for(machine.platform, vllm or version_in_tag(image), image, capabilities)


def machine_of(book: RecipeRepository, hardware: str, platform: str) -> HardwareProfile:
    """The named hardware, or the CPU. Raises Refused for an unknown one."""
    if platform:
        one_of("platform", platform, PLATFORMS)
    hardware = hardware or "cpu"
    if hardware not in book.hardware:
        raise choice("hardware", hardware, tuple(book.hardware))
    found = book.hardware[hardware]
    if platform and found.platform != platform:
        raise Refused(f"{hardware} is {found.platform}, not {platform}", fix=f"--platform {found.platform}")
    return found


def capabilities_from(path: str) -> Capabilities | None:
    """The contract in a JSON file. Raises Refused for a file that is none."""
    import json
    from pathlib import Path

    from launch.spec.inputs import Capabilities

    if not path:
        return None
    try:
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"--capabilities {path}: cannot be read", why=str(error)) from error
    if not isinstance(data, dict):
        raise Refused(f"--capabilities {path}: not a JSON object")
    return Capabilities.of(data)
