"""Find the image for a recipe: the one that `docker_image` names, in any of its forms, else upstream's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from launch.recipes.schema import Recipe, Variant
from launch.spec.gpu_catalog import HardwareProfile

# Upstream's images for a recipe that names none, by the key that `docker_image` maps use.
LATEST = {
    "nvidia": "vllm/vllm-openai:latest",
    "amd": "vllm/vllm-openai-rocm:latest",
    "tpu": "vllm/vllm-tpu:latest",
    "intel": "vllm/vllm-openai-cpu:latest-x86_64",
}
NIGHTLY = {key: LATEST[key].partition(":")[0] + ":nightly" for key in ("nvidia", "amd", "tpu")}
XPU = "vllm/vllm-openai-xpu:latest"  # Intel's GPUs have an image of their own
CUDA_TAGS = ("cu130", "cu129")  # newest first
VERSION_TAG = re.compile(r":v(\d+\.\d+\.\d+[\w.]*)$")


def image_of(recipe: Recipe, variant: Variant, hardware: HardwareProfile) -> str:
    """Return the image that the recipe names, else the brand's latest or, if the model needs it, nightly."""
    named = named_image(recipe, variant, hardware)
    if named:
        return named
    if hardware.generation == "xpu":
        return XPU
    defaults = {**LATEST, **NIGHTLY} if recipe.model.nightly_required else LATEST
    return defaults.get(_key(hardware), LATEST["nvidia"])


def named_image(recipe: Recipe, variant: Variant, hardware: HardwareProfile) -> str:
    """Return the image that the recipe names for this hardware: by exact GPU, variant, model; else ""."""
    exact = variant.hardware_overrides.get(hardware.id)
    if exact and exact.docker_image:
        return _reference(exact.docker_image)
    return next((_reference(image) for image in _by_brand(recipe, variant, hardware) if image), "")


def _by_brand(recipe: Recipe, variant: Variant, hardware: HardwareProfile) -> Iterator[str]:
    for image in (variant.docker_image, recipe.model.docker_image):
        yield _select(image, _key(hardware))


def _select(image: Any, key: str) -> str:
    """Return the reference for a brand from a `docker_image` value.

    A plain reference and a map of CUDA versions are for NVIDIA. A map of brands holds either form.
    """
    if isinstance(image, dict) and not image.keys().isdisjoint(LATEST):
        image = image.get(key)
        if isinstance(image, str):
            return image
    if key != "nvidia":
        return ""
    if isinstance(image, dict):
        image = next((image[tag] for tag in CUDA_TAGS if image.get(tag)), "")
    return image if isinstance(image, str) else ""


def _key(hardware: HardwareProfile) -> str:
    if hardware.generation == "tpu":
        return "tpu"
    if hardware.brand == "AMD":
        return "amd"
    return "intel" if hardware.brand == "Intel" or hardware.generation == "cpu" else "nvidia"


def _reference(text: str) -> str:
    """Return the reference alone, because some recipes write `docker pull vllm/...`."""
    return text.rsplit(maxsplit=1)[-1] if text.split() else ""


def version_in_tag(reference: str) -> str:
    """Return the vLLM version in a tag (`:v0.20.2`), "" if the tag has none."""
    match = VERSION_TAG.search(reference)
    return match[1] if match else ""
