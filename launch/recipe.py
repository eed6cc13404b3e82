"""The recipe schema of vllm-project/recipes, read whole (models/<org>/<repo>.yaml, as of August 2026).

Keys that we do not know are kept (`recipe_file.unknown_keys` names them). What is ours stands under
`x-slipway`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from launch.shape import Shape


def _word(value: Any) -> Any:
    """A number without quotes is a word of a command line all the same; true and null are not."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _filled(value: Any) -> Any:
    """A key with nothing behind it (`features:`) counts as an empty mapping."""
    return {} if value is None else value


def _listed(value: Any) -> Any:
    return () if value is None else value


Word = Annotated[str, BeforeValidator(_word)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
Env = Annotated[dict[str, Word], BeforeValidator(_filled)]
Mapping = Annotated[dict[str, Any], BeforeValidator(_filled)]
# A number for every GPU, or one by GPU id, generation, brand or `default`.
PerHardware = int | dict[str, int] | None


class Part(BaseModel):
    """A mapping of the schema."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, strict=False)


class Override(Part):
    """What a GPU, a generation or a brand adds."""

    extra_args: Words = ()
    extra_env: Env = {}
    docker_image: str | None = None


Overrides = Annotated[dict[str, Annotated[Override, BeforeValidator(_filled)]], BeforeValidator(_filled)]


class FeatureArgs(Part):
    """The options of a feature, or what replaces them on some hardware (None: not replaced)."""

    args: Annotated[tuple[Word, ...] | None, Field()] = None
    env: dict[str, Word] | None = None


class Mode(FeatureArgs):
    """One of several ways to have a feature (spec_decoding: mtp, dspark, ...)."""

    label: str = ""
    description: str = ""
    hardware: Mapping = {}
    variants: Words = ()
    hardware_overrides: Annotated[dict[str, FeatureArgs], BeforeValidator(_filled)] = {}


class Feature(Mode):
    """Something that can be switched on: tool calling, reasoning, speculative decoding."""

    default_mode: str | None = None
    modes: Annotated[dict[str, Mode], BeforeValidator(_filled)] = {}
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
    default_modes: Annotated[dict[str, str], BeforeValidator(_filled)] = {}
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
    hardware: Annotated[dict[str, str], BeforeValidator(_filled)] = {}


class Cure(Part):
    """Options that a known symptom calls for."""

    why: str
    args: Words = ()
    env: Env = {}


class DefaultStrategy(Part):
    """The strategy for up to `gpus` GPUs (None: any number)."""

    strategy: str
    gpus: int | None = None
    why: str = ""


class Advice(Part):
    """A remark for those who plan on this hardware."""

    hardware: str
    note: str


class GuideFlags(Part):
    """Options of a container, in the words of `launch.plan.Container`."""

    ipc: str = ""
    network: str = ""
    privileged: bool = False
    cap_add: Words = ()
    devices: Words = ()
    groups: Words = ()
    security_opt: Words = ()
    env: Env = {}


class GuideContainer(Part):
    """Container access that a usage guide prescribes, for `--access guide`."""

    image: str
    name: str
    flags: GuideFlags = GuideFlags()


class Extension(Part):
    """Everything of ours: `x-slipway`."""

    source: str = ""
    shape: Shape | None = None
    same_shape: Words = ()  # checkpoints whose config.json has the same numbers
    order: Words = ()
    strategies: tuple[DefaultStrategy, ...] = ()
    responses_api: FeatureArgs | None = None
    cures: dict[str, Cure] = {}
    advice: tuple[Advice, ...] = ()
    guide: dict[str, GuideContainer] = {}
    bench: Mapping = {}


class Recipe(Part):
    """One model: what to serve, with what, where."""

    meta: Annotated[Meta, BeforeValidator(_filled)] = Meta()
    model: Model
    dependencies: Any = None
    features: Annotated[
        dict[str, Annotated[Feature, BeforeValidator(_filled)]], BeforeValidator(_filled)
    ] = {}
    opt_in_features: Words = ()
    hardware_opt_in_features: Annotated[dict[str, Words], BeforeValidator(_filled)] = {}
    variants: Annotated[
        dict[str, Annotated[Variant, BeforeValidator(_filled)]], BeforeValidator(_filled)
    ] = {}
    compatible_strategies: Words = ()
    default_strategy: str | None = None
    strategy_overrides: Annotated[
        dict[str, Annotated[StrategyOverride, BeforeValidator(_filled)]], BeforeValidator(_filled)
    ] = {}
    strategy_hardware: Annotated[dict[str, dict[str, str]], BeforeValidator(_filled)] = {}
    strategy_min_gpus: int | dict[str, Any] | None = None
    hardware_overrides: Overrides = {}
    hardware_notes: Any = None
    kv_offload_support: Mapping = {}
    omni: Any = None
    guide: str | None = None
    ours: Extension = Field(default=Extension(), alias="x-slipway")
    file: str = Field(default="", exclude=True)

    @property
    def name(self) -> str:
        """The name it is asked for by: its path (org/repo), else the model it serves."""
        return self.file.removesuffix(".yaml").removesuffix(".yml") or self.model.model_id
