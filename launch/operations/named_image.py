"""Look up an image that the user or the recipe names: on the engine, else by the digest of its tag in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errors import Failed
from launch.engine import images
from launch.engine.socket_api import EngineSocket
from launch.operations.capabilities_file import read_capabilities
from launch.operations.registry_answer import ask, reason
from launch.planning import image_checks, image_choice
from launch.planning.image_choice import UPSTREAM
from launch.planning.selection import NO_VARIANT, variant_of
from launch.planning.vllm_versions import image_for
from launch.recipes.image import image_of, named_image, version_in_tag
from launch.recipes.schema import Recipe
from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.image_reference import ImageReference, is_image_id
from launch.spec.inputs import Image, LocalImage
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from docker import DockerClient


def look_up(
    options: PlanOptions,
    recipe: Recipe,
    hardware: HardwareProfile,
    client: DockerClient | EngineSocket | None,
) -> Image:
    """Return the image that the user names, or upstream's, by what its tag means now."""
    wanted = options.image in ("", UPSTREAM)
    asked = upstream(options, recipe, hardware) if wanted else options.image
    image_checks.check_reference(asked)
    local = images.inspect(client, asked) if client else None
    if local or ImageReference.parse(asked).digest:
        return of_name(options, hardware.platform, asked, local)
    try:
        digest = _digest_of(asked)
        if client:  # an earlier run pulled it by this digest, without the tag
            local = images.inspect(client, f"{ImageReference.parse(asked).name}@{digest}")
        return of_name(options, hardware.platform, asked, local, digest)
    except Failed as error:
        local = _of_running_server(client, asked) if client else None
        return of_name(options, hardware.platform, asked, local, problem="" if local else reason(error))


def of_name(
    options: PlanOptions,
    platform: str,
    asked: str,
    local: LocalImage | None,
    digest: str = "",
    problem: str = "",
) -> Image:
    """Return an image that is not of the lock, with its capabilities if they are known."""
    version = options.vllm or version_in_tag(asked)
    known = read_capabilities(options.capabilities) or capabilities_of(local)
    return image_choice.named(platform, asked, version, local, digest, known, problem)


def upstream(options: PlanOptions, recipe: Recipe, hardware: HardwareProfile) -> str:
    """Return the image of the recipe, else vLLM's own of the wanted version, else of the planned one."""
    variant = recipe.variants.get(variant_of(options, recipe), NO_VARIANT)
    if hardware.platform == "cpu":  # the table of images by version has Slipway's own for a CPU
        return image_of(recipe, variant, hardware)
    if options.vllm:
        return image_for(hardware.platform, options.vllm).reference
    if recipe.model.nightly_required:
        return image_of(recipe, variant, hardware)
    return named_image(recipe, variant, hardware) or image_for(hardware.platform, "").reference


def capabilities_of(local: LocalImage | None) -> Capabilities | None:
    """Return the capabilities of an image of this engine: from its label, or as read at an earlier start."""
    from images import capabilities

    if local is None:
        return None
    return capabilities.from_labels(local.labels) or capabilities.remembered(local.id)


def _digest_of(asked: str) -> str:
    """Return the digest that a tag has in its registry now. Raises Failed, or Refused for a name that cannot be."""
    from images.registry import address
    from images.registry import client as registry_client

    if is_image_id(asked):
        raise Failed("no container engine of this host has an image with this id")
    reference = ImageReference.parse(asked)
    address.parse_target("--image", reference.name)
    registry = registry_client.connect(reference.registry)
    return ask(lambda: registry.manifest(reference.repository, reference.version)).digest


def _of_running_server(client: DockerClient | EngineSocket, asked: str) -> LocalImage | None:
    """Return the image of a server that was started with this name, whose tag is gone since."""
    from launch.engine.client import connect
    from launch.engine.servers import image_id_of

    image_id = image_id_of(connect() if isinstance(client, EngineSocket) else client, asked)
    return images.inspect(client, image_id) if image_id else None
