"""The recipe schema of vllm-project/recipes (models/<org>/<repo>.yaml, as of August 2026) and its extension.

Keys that the schema does not name are listed in `Recipe.unknown`. What Slipway adds to the schema is
under the key `x-slipway`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launch.checked_data.value_checks import Before
from launch.spec.model_config import ModelShape


def _number_as_word(value: Any) -> Any:
    """Return a number as a string, because YAML needs no quotes for it; true and null stay errors."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _null_as_mapping(value: Any) -> Any:
    """Return an empty mapping for a key without a value (`features:`)."""
    return {} if value is None else value


def _null_as_list(value: Any) -> Any:
    return () if value is None else value


Filled = Before(_null_as_mapping)
Word = Annotated[str, Before(_number_as_word)]
Words = Annotated[tuple[Word, ...], Before(_null_as_list)]
Env = Annotated[dict[str, Word], Filled]
Mapping = Annotated[dict[str, Any], Filled]
# A number for every GPU, or one by GPU id, generation, brand or `default`.
PerHardware = int | dict[str, int] | None


class SchemaPart:
    """A mapping of the schema. It may have keys that are not named here."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "allow"}


@dataclass(frozen=True, kw_only=True)
class FeatureArgs(SchemaPart):
    """The options of a feature, or what replaces them on some hardware (None: not replaced)."""

    args: tuple[Word, ...] | None = None
    env: dict[str, Word] | None = None


@dataclass(frozen=True, kw_only=True)
class Override(SchemaPart):
    """What a GPU, a generation or a brand adds."""

    extra_args: Words = ()
    extra_env: Env = field(default_factory=dict)
    docker_image: str | None = None


Overrides = Annotated[dict[str, Annotated[Override, Filled]], Filled]


@dataclass(frozen=True, kw_only=True)
class Mode(FeatureArgs):
    """One way to have a feature (spec_decoding: mtp, dspark, ...)."""

    label: str = ""
    description: str = ""
    hardware: Mapping = field(default_factory=dict)
    variants: Words = ()
    hardware_overrides: Annotated[dict[str, FeatureArgs], Filled] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Feature(Mode):
    """Something that can be switched on: tool calling, reasoning, speculative decoding."""

    default_mode: str | None = None
    modes: Annotated[dict[str, Mode], Filled] = field(default_factory=dict)
    strategies: Words = ()


@dataclass(frozen=True, kw_only=True)
class Variant(SchemaPart):
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
    default_modes: Annotated[dict[str, str], Filled] = field(default_factory=dict)
    extra_args: Words = ()
    extra_env: Env = field(default_factory=dict)
    hardware_overrides: Overrides = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StrategyOverride(SchemaPart):
    """What a recipe changes about a strategy. `prefill` and `decode` belong to pd_cluster and are not used."""

    tp: PerHardware = None
    extra_args: Words = ()
    vllm_args: Words = ()
    extra_env: Env = field(default_factory=dict)
    env: Env = field(default_factory=dict)
    hardware_overrides: Overrides = field(default_factory=dict)
    prefill: Mapping = field(default_factory=dict)
    decode: Mapping = field(default_factory=dict)
    pool_modes: Words = ()
    router: Mapping = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Model(SchemaPart):
    """The checkpoint, and the vLLM that serves it."""

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
    base_env: Env = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Meta(SchemaPart):
    """The recipe's description. Of these fields, only `hardware` and `tasks` change a plan."""

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
    hardware: Annotated[dict[str, str], Filled] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Workaround(SchemaPart):
    """Options against a known symptom (x-slipway.workarounds)."""

    why: str
    args: Words = ()
    env: Env = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DefaultStrategy(SchemaPart):
    """The strategy for up to `gpus` GPUs; None: any number (x-slipway.strategies)."""

    strategy: str
    gpus: int | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Advice(SchemaPart):
    """A note that plans for this hardware show (x-slipway.advice)."""

    hardware: str
    note: str


@dataclass(frozen=True, kw_only=True)
class GuideFlags(SchemaPart):
    """Options of a container, named as in `launch.spec.plan.Container`."""

    ipc: str = ""
    network: str = ""
    privileged: bool = False
    cap_add: Words = ()
    devices: Words = ()
    groups: Words = ()
    security_opt: Words = ()
    env: Env = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GuideContainer(SchemaPart):
    """The container access that a usage guide prescribes, for `--access guide` (x-slipway.guide)."""

    image: str
    name: str
    flags: GuideFlags = field(default_factory=GuideFlags)


@dataclass(frozen=True, kw_only=True)
class Extension(SchemaPart):
    """What Slipway adds to the schema: `x-slipway`."""

    source: str = ""
    shape: ModelShape | None = None
    same_shape: Words = ()  # other checkpoints whose config.json has the same numbers
    order: Words = ()
    strategies: tuple[DefaultStrategy, ...] = ()
    responses_api: FeatureArgs | None = None
    workarounds: dict[str, Workaround] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()
    guide: dict[str, GuideContainer] = field(default_factory=dict)
    budgets: dict[str, int] = field(
        default_factory=dict
    )  # seconds without a log line that a phase of serving/phases.yaml may take
    bench: Mapping = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe(SchemaPart):
    """One model: the checkpoints to serve, the options of vLLM, and the hardware."""

    meta: Annotated[Meta, Filled] = field(default_factory=Meta)
    model: Model
    dependencies: Any = None
    features: Annotated[dict[str, Annotated[Feature, Filled]], Filled] = field(default_factory=dict)
    opt_in_features: Words = ()
    hardware_opt_in_features: Annotated[dict[str, Words], Filled] = field(default_factory=dict)
    variants: Annotated[dict[str, Annotated[Variant, Filled]], Filled] = field(default_factory=dict)
    compatible_strategies: Words = ()
    default_strategy: str | None = None
    strategy_overrides: Annotated[dict[str, Annotated[StrategyOverride, Filled]], Filled] = field(
        default_factory=dict
    )
    strategy_hardware: Annotated[dict[str, dict[str, str]], Filled] = field(default_factory=dict)
    strategy_min_gpus: int | dict[str, Any] | None = None
    hardware_overrides: Overrides = field(default_factory=dict)
    hardware_notes: Any = None
    kv_offload_support: Mapping = field(default_factory=dict)
    omni: Any = None
    guide: str | None = None
    extension: Extension = field(default_factory=Extension)  # written as `x-slipway`
    file: str = ""
    unknown: tuple[str, ...] = ()  # keys that the schema does not name

    @property
    def name(self) -> str:
        """Return the name that `--model` takes: the path (org/repo), else the id of the model."""
        return self.file.removesuffix(".yaml").removesuffix(".yml") or self.model.model_id
