"""The image that a recipe asks for, in every form of `docker_image`, else its brand's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from launch.recipes.schema import Recipe, Variant
from launch.spec.gpu_catalog import Hardware

# Upstream's images where a recipe names none, by the key that `docker_image` maps use.
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


def image_of(recipe: Recipe, variant: Variant, hardware: Hardware) -> str:
    """The image by exact GPU, variant, model, else the brand's latest or, where needed, its nightly."""
    asked = asked_for(recipe, variant, hardware)
    if asked:
        return asked
    if hardware.generation == "xpu":
        return XPU
    defaults = {**LATEST, **NIGHTLY} if recipe.model.nightly_required else LATEST
    return defaults.get(_key(hardware), LATEST["nvidia"])


def asked_for(recipe: Recipe, variant: Variant, hardware: Hardware) -> str:
    """The image that the recipe names for this hardware, "" where it names none."""
    exact = variant.hardware_overrides.get(hardware.id)
    if exact and exact.docker_image:
        return _reference(exact.docker_image)
    return next((_reference(found) for found in _wide(recipe, variant, hardware) if found), "")


def _wide(recipe: Recipe, variant: Variant, hardware: Hardware) -> Iterator[str]:
    for image in (variant.docker_image, recipe.model.docker_image):
        yield _from(image, _key(hardware))


def _from(image: Any, key: str) -> str:
    """A plain reference and a map of CUDA versions are NVIDIA's; a map of brands has both forms inside."""
    if isinstance(image, dict) and not image.keys().isdisjoint(LATEST):
        image = image.get(key)
        if isinstance(image, str):
            return image
    if key != "nvidia":
        return ""
    if isinstance(image, dict):
        image = next((image[tag] for tag in CUDA_TAGS if image.get(tag)), "")
    return image if isinstance(image, str) else ""


def _key(hardware: Hardware) -> str:
    if hardware.generation == "tpu":
        return "tpu"
    return {"AMD": "amd", "Intel": "intel"}.get(
        hardware.brand, "intel" if hardware.generation == "cpu" else "nvidia"
    )


def _reference(written: str) -> str:
    """The reference alone; a recipe has been seen to say `docker pull vllm/...`."""
    return written.rsplit(maxsplit=1)[-1] if written.split() else ""


def version_of(reference: str) -> str:
    """The vLLM version that a tag promises (`:v0.20.2`), "" where it does not say."""
    found = VERSION_TAG.search(reference)
    return found[1] if found else ""
