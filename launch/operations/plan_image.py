"""Choose the image of a plan: the lock decides unless the user names an image.

Nothing is pulled or built here; `provide_image.py` does that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from errors import SlipwayError
from launch.engine import client as engine_client
from launch.engine import socket_api
from launch.operations import locked_image, named_image
from launch.planning import image_checks
from launch.planning.image_choice import UPSTREAM
from launch.planning.selection import NO_VARIANT, variant_of
from launch.recipes.image import named_image as image_of_recipe
from launch.recipes.schema import Recipe
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.inputs import Image
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from docker import DockerClient

    from launch.engine.socket_api import EngineSocket


def choose(options: PlanOptions, recipe: Recipe, hardware: HardwareProfile) -> Image:
    """Return the image of the lock, or the one that the user names. Raises Refused or Failed if it does not suit."""
    image_checks.check_channel(options.image, options.channel)
    locked = None if options.image else locked_image.of_platform(options, hardware.platform)
    client = _engine()
    if locked is None:
        return named_image.look_up(options, recipe, hardware, client)
    image = locked_image.look_up(options, locked, client)
    own = image_of_recipe(recipe, recipe.variants.get(variant_of(options, recipe), NO_VARIANT), hardware)
    note = f"the recipe names the image {own}; the lock decides (--image {UPSTREAM} uses the recipe's)"
    return replace(image, notes=(note,)) if own else image


def _engine() -> DockerClient | EngineSocket | None:
    """Return the first engine that answers, or None: a plan needs none. The SDK is imported only if it has to be."""
    for url in engine_client.sockets():
        if found := socket_api.answering(url):
            return found
        if not url.startswith(socket_api.UNIX):
            return _connected()
    return None


def _connected() -> DockerClient | None:
    try:
        return engine_client.connect()
    except SlipwayError:
        return None
