"""From a recipe and the choices made in it to the options of `vllm serve`, in the order of vllm-project/recipes.

Layer by layer, later ones win: model, variant, strategy, the recipe's word on the strategy, hardware, features.
Every option carries the key that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from launch.arguments import Arg, Draft, Setting, last_settings, last_wins, parse
from launch.gpus import Hardware
from launch.recipe import Feature, FeatureArgs, Override, Recipe, StrategyOverride, Variant
from launch.strategy import Strategy, multi_node_words, single_node_words, tp_of_one_node


@dataclass(frozen=True)
class Choice:
    """One way to run a recipe. `features` are pairs of name and wanted mode ("" leaves it to the recipe)."""

    recipe: Recipe
    variant_name: str
    strategy: Strategy
    hardware: Hardware
    gpus: int
    nodes: int = 1
    features: tuple[tuple[str, str], ...] = ()
    tp: int = 0  # 0: by the recipe's rules

    @property
    def variant(self) -> Variant:
        """The chosen checkpoint."""
        return self.recipe.variants.get(self.variant_name, NO_VARIANT)

    @property
    def override(self) -> StrategyOverride:
        """What the recipe changes about the strategy."""
        return self.recipe.strategy_overrides.get(self.strategy.name, NO_OVERRIDE)

    @property
    def model_id(self) -> str:
        """The checkpoint that is served."""
        return self.variant.model_id or self.recipe.model.model_id


NO_VARIANT = Variant()
NO_OVERRIDE = StrategyOverride()


@dataclass(frozen=True)
class Layer:
    """Options that stand together in a recipe, and their key."""

    key: str
    why: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None


def default_features(recipe: Recipe, hardware: Hardware) -> tuple[str, ...]:
    """What is on without a word: everything that is not opt-in, here or on this hardware."""
    found = hardware.pick(recipe.hardware_opt_in_features)
    waiting = {*recipe.opt_in_features, *(found[1] if found else ())}
    return tuple(name for name in recipe.features if name not in waiting)


def features_on(
    choice: Choice, asked: Mapping[str, str] | None = None, without: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """What is switched on: the defaults, what the variant has a mode for, what was asked for; in the recipe's order."""
    recipe, asked = choice.recipe, asked or {}
    on = {*default_features(recipe, choice.hardware), *choice.variant.default_modes, *asked} - {*without}
    return tuple((name, asked.get(name, "")) for name in recipe.features if name in on)


def synthesise(choice: Choice, rank: int = 0) -> Draft:
    """The options and environment of node `rank`."""
    file = choice.recipe.file or choice.recipe.name
    args: list[Arg] = []
    env: list[Setting] = []
    for layer in layers(choice, rank):
        source = f"{file}: {layer.key}"
        args += parse(layer.args, source, layer.why)
        env += (Setting(name, value, source, layer.why) for name, value in (layer.env or {}).items())
    return within_node(choice, Draft(last_wins(args), last_settings(env)), rank)


def within_node(choice: Choice, draft: Draft, rank: int) -> Draft:
    """TP from a hardware block inside a data parallel strategy: the ranks share the GPUs instead of multiplying them."""
    tp, dp = draft.number("--tensor-parallel-size"), draft.get("--data-parallel-size")
    if not tp or tp == 1 or dp is None or not dp.source.endswith("parallel_flag") or choice.gpus % tp:
        return draft
    total, local = choice.gpus * choice.nodes, choice.gpus // tp
    asked = draft.number("--data-parallel-size") or 0
    if asked * tp <= total:
        return draft
    sizes = {
        "--data-parallel-size": total // tp,
        "--data-parallel-size-local": local,
        "--data-parallel-start-rank": rank * local,
    }
    args = tuple(
        replace(arg, values=(str(sizes[arg.key]),)) if arg.key in sizes else arg for arg in draft.args
    )
    why = (
        f"DP{asked} x TP{tp} = {asked * tp} GPUs, but there are {total}: DP is {total} / {tp} = {total // tp}"
    )
    return replace(draft, args=args).corrected(why)


def layers(choice: Choice, rank: int) -> Iterator[Layer]:
    """All layers in order."""
    recipe, variant, hardware = choice.recipe, choice.variant, choice.hardware
    place = f"variants.{choice.variant_name}"
    yield Layer(
        "model.base_args", "the model needs it everywhere", recipe.model.base_args, recipe.model.base_env
    )
    yield Layer(f"{place}.extra_args", variant.description or place, variant.extra_args, variant.extra_env)
    exact = variant.hardware_overrides.get(hardware.id)
    if exact:
        yield _hardware(f"{place}.hardware_overrides.{hardware.id}", exact, hardware)
    yield from _strategy(choice, rank)
    yield from _hardware_layers(choice)
    yield from _feature_layers(choice)


def _strategy(choice: Choice, rank: int) -> Iterator[Layer]:
    strategy, override = choice.strategy, choice.override
    name = strategy.display_name or strategy.name
    yield Layer(f"strategies.{strategy.name}", name, strategy.vllm_args, strategy.env)
    words, why = parallel_words(choice, rank)
    yield Layer(f"strategies.{strategy.name}.parallel_flag", f"{name}: {why}", words)
    key = f"strategy_overrides.{strategy.name}"
    words = (*override.extra_args, *override.vllm_args)
    yield Layer(
        key, f"the recipe's own setting of {strategy.name}", words, {**override.env, **override.extra_env}
    )


def parallel_words(choice: Choice, rank: int) -> tuple[tuple[str, ...], str]:
    """The options that spread the ranks, and why these numbers."""
    strategy, gpus, nodes = choice.strategy, choice.gpus, choice.nodes
    if strategy.multi and nodes > 1:
        return multi_node_words(strategy, gpus, nodes, rank, _local(choice)), f"{nodes} nodes of {gpus} GPUs"
    if choice.tp:
        return single_node_words(strategy, choice.tp), f"{choice.tp} of {gpus} GPUs make a legal layout"
    if strategy.name == "single_node_tp":
        size, why = tp_of_one_node(choice.recipe, choice.variant, choice.hardware, gpus)
        return single_node_words(strategy, size), why
    return single_node_words(strategy, gpus), f"all {gpus} GPUs of a node"


def _local(choice: Choice) -> int:
    """Data parallel ranks on a node: the recipe may have fewer than GPUs (TP inside each rank)."""
    override = choice.override
    words = [*override.vllm_args, *override.extra_args]
    wide = choice.hardware.pick_wide(override.hardware_overrides)
    exact = override.hardware_overrides.get(choice.hardware.id)
    words += (*(wide[1].extra_args if wide else ()), *(exact.extra_args if exact else ()))
    asked = Draft(parse(words)).number("--data-parallel-size-local", choice.gpus)
    return asked or choice.gpus


def _hardware_layers(choice: Choice) -> Iterator[Layer]:
    """The strategy's block for this generation replaces the recipe's and the variant's; its exact GPU's comes on top."""
    hardware, own = choice.hardware, choice.override.hardware_overrides
    key = f"strategy_overrides.{choice.strategy.name}.hardware_overrides"
    wide = hardware.pick_wide(own)
    if wide:
        yield _hardware(f"{key}.{wide[0]}", wide[1], hardware)
    else:
        yield from _general_hardware(choice)
    if hardware.id in own and not (wide and wide[0] == hardware.id):
        yield _hardware(f"{key}.{hardware.id}", own[hardware.id], hardware)


def _general_hardware(choice: Choice) -> Iterator[Layer]:
    found = choice.hardware.pick(choice.recipe.hardware_overrides)
    if found:
        yield _hardware(f"hardware_overrides.{found[0]}", found[1], choice.hardware)
    found = choice.hardware.pick_wide(choice.variant.hardware_overrides)
    if found:
        key = f"variants.{choice.variant_name}.hardware_overrides.{found[0]}"
        yield _hardware(key, found[1], choice.hardware)


def _hardware(key: str, block: Override, hardware: Hardware) -> Layer:
    return Layer(key, f"the recipe's setting for {hardware.id}", block.extra_args, block.extra_env)


def _feature_layers(choice: Choice) -> Iterator[Layer]:
    for name, mode in choice.features:
        feature = choice.recipe.features[name]
        if not feature.strategies or choice.strategy.name in feature.strategies:
            yield from _feature(choice, name, feature, mode)


def _feature(choice: Choice, name: str, feature: Feature, wanted: str) -> Iterator[Layer]:
    part: FeatureArgs = feature
    key, overrides = f"features.{name}", feature.hardware_overrides
    if feature.modes:
        mode = mode_of(choice, name, feature, wanted)
        if not mode:
            return
        part, key = feature.modes[mode], f"{key}.modes.{mode}"
        overrides = feature.modes[mode].hardware_overrides
    found = choice.hardware.pick(overrides)
    special = found[1] if found else overrides.get("default", FeatureArgs())
    args = special.args if special.args is not None else part.args
    env = special.env if special.env is not None else part.env
    yield Layer(key, feature.description or f"feature {name}", args or (), env)


def mode_of(choice: Choice, name: str, feature: Feature, wanted: str) -> str:
    """The mode that runs: the wanted one, the variant's, the feature's, the first; "" where none may run here."""
    allowed = modes_allowed(choice, feature)
    for mode in (wanted, choice.variant.default_modes.get(name), feature.default_mode):
        if mode in allowed:
            return mode or ""
    return allowed[0] if allowed else ""


def modes_allowed(choice: Choice, feature: Feature) -> Sequence[str]:
    """The modes that this variant and this hardware can have."""
    gates = (choice.hardware.id, choice.hardware.generation)
    return [
        name
        for name, mode in feature.modes.items()
        if (not mode.variants or choice.variant_name in mode.variants)
        and not any(mode.hardware.get(gate) == "unsupported" for gate in gates)
    ]
