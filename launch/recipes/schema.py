"""The recipe schema of vllm-project/recipes, read whole (models/<org>/<repo>.yaml, as of August 2026).

Keys that we do not know are kept, and named in `Recipe.unknown`. What is ours stands under `x-slipway`.
"""

# ruff: noqa: RUF012 (pydantic gives every instance its own copy of a default)
from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from launch.recipes.checking import Env, FeatureArgs, Filled, Mapping, Part, PerHardware, Word, Words
from launch.recipes.extension import Extension


class Override(Part):
    """What a GPU, a generation or a brand adds."""

    extra_args: Words = ()
    extra_env: Env = {}
    docker_image: str | None = None


Overrides = Annotated[dict[str, Annotated[Override, Filled]], Filled]


class Mode(FeatureArgs):
    """One of several ways to have a feature (spec_decoding: mtp, dspark, ...)."""

    label: str = ""
    description: str = ""
    hardware: Mapping = {}
    variants: Words = ()
    hardware_overrides: Annotated[dict[str, FeatureArgs], Filled] = {}


class Feature(Mode):
    """Something that can be switched on: tool calling, reasoning, speculative decoding."""

    default_mode: str | None = None
    modes: Annotated[dict[str, Mode], Filled] = {}
    strategies: Words = ()


class Variant(Part):
    """A checkpoint of the model, with the options it needs."""

    model_id: str | None = None
    label: str = ""
    precision: str = ""
    precision_hardware: dict[str, str] | None = None
    vram_minimum_gb: float | dict[str, float] | None = None
    description: str = ""
    supported_hardware: Words = ()
    tp: PerHardware = None
    min_vllm_version: Word | None = None
    docker_image: Any = None
    default_modes: Annotated[dict[str, str], Filled] = {}
    extra_args: Words = ()
    extra_env: Env = {}
    hardware_overrides: Overrides = {}


class StrategyOverride(Part):
    """What a recipe changes about a strategy. prefill and decode belong to pd_cluster and are kept unread."""

    tp: PerHardware = None
    extra_args: Words = ()
    vllm_args: Words = ()
    extra_env: Env = {}
    env: Env = {}
    hardware_overrides: Overrides = {}
    prefill: Mapping = {}
    decode: Mapping = {}
    pool_modes: Words = ()
    router: Mapping = {}


class Model(Part):
    """The checkpoint and the vLLM that serves it."""

    model_id: str
    min_vllm_version: Word = ""
    docker_image: Any = None
    nightly_required: bool = False
    install: Any = None
    architecture: str = ""
    parameter_count: Word = ""
    active_parameters: Word = ""
    context_length: int | None = None
    supports_dcp: bool = False
    flashinfer_autotune: bool | None = None
    base_args: Words = ()
    base_env: Env = {}


class Meta(Part):
    """What the recipe says about itself. Only `hardware` changes a plan."""

    title: Word = ""
    slug: Word = ""
    provider: Word = ""
    description: str = ""
    date_added: Any = None
    date_updated: Any = None
    difficulty: str = ""
    tasks: Words = ()
    performance_headline: str | None = None
    related_recipes: Any = None
    platforms: Any = None
    default_hardware: str | None = None
    hardware: Annotated[dict[str, str], Filled] = {}


class Recipe(Part):
    """One model: what to serve, with what, where."""

    meta: Annotated[Meta, Filled] = Meta()
    model: Model
    dependencies: Any = None
    features: Annotated[dict[str, Annotated[Feature, Filled]], Filled] = {}
    opt_in_features: Words = ()
    hardware_opt_in_features: Annotated[dict[str, Words], Filled] = {}
    variants: Annotated[dict[str, Annotated[Variant, Filled]], Filled] = {}
    compatible_strategies: Words = ()
    default_strategy: str | None = None
    strategy_overrides: Annotated[dict[str, Annotated[StrategyOverride, Filled]], Filled] = {}
    strategy_hardware: Annotated[dict[str, dict[str, str]], Filled] = {}
    strategy_min_gpus: int | dict[str, Any] | None = None
    hardware_overrides: Overrides = {}
    hardware_notes: Any = None
    kv_offload_support: Mapping = {}
    omni: Any = None
    guide: str | None = None
    ours: Extension = Field(default=Extension(), alias="x-slipway")
    file: str = Field(default="", exclude=True)
    unknown: tuple[str, ...] = Field(default=(), exclude=True)  # keys that were kept and are not read

    @property
    def name(self) -> str:
        """The name it is asked for by: its path (org/repo), else the model it serves."""
        return self.file.removesuffix(".yaml").removesuffix(".yml") or self.model.model_id
