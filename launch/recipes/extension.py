"""What our own recipes say beyond the schema of vllm-project/recipes, all of it under `x-slipway`."""

# ruff: noqa: RUF012 (pydantic gives every instance its own copy of a default)
from __future__ import annotations

from launch.recipes.checking import Env, FeatureArgs, Mapping, Part, Words
from launch.spec.model_config import Shape


class Workaround(Part):
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
    """Options of a container, in the words of `launch.spec.plan.Container`."""

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
    workarounds: dict[str, Workaround] = {}
    advice: tuple[Advice, ...] = ()
    guide: dict[str, GuideContainer] = {}
    budgets: dict[str, int] = {}  # seconds of silence a phase of launch/serving/phases.yaml may have
    bench: Mapping = {}
