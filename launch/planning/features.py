"""Features of a recipe: which are on, in which mode, and the options that they bring here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from launch.planning.choice import Choice, Layer
from launch.recipes.checking import FeatureArgs
from launch.recipes.schema import Feature, Mode, Recipe
from launch.spec.gpu_catalog import Hardware


def default_features(recipe: Recipe, hardware: Hardware) -> tuple[str, ...]:
    """What is on without a word: everything that is not opt-in, here or on this hardware."""
    found = hardware.pick(recipe.hardware_opt_in_features)
    waiting = {*recipe.opt_in_features, *(found[1] if found else ())}
    return tuple(name for name in recipe.features if name not in waiting)


def features_on(
    choice: Choice, asked: Mapping[str, str] | None = None, without: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """What is on: the defaults, the variant's modes, what was asked for; in the recipe's order."""
    recipe, asked = choice.recipe, asked or {}
    on = {*default_features(recipe, choice.hardware), *choice.variant.default_modes, *asked} - {*without}
    return tuple((name, asked.get(name, "")) for name in recipe.features if name in on)


def feature_layers(choice: Choice) -> Iterator[Layer]:
    """The options of all features that are on and allowed under the strategy, in the recipe's order."""
    for name, mode in choice.features:
        feature = choice.recipe.features[name]
        allowed = not feature.strategies or choice.strategy.name in feature.strategies
        if allowed and not unsupported(feature, choice.hardware):
            yield from _feature(choice, name, feature, mode)


def unsupported(gated: Mode, hardware: Hardware) -> bool:
    """Whether a feature or mode says that it does not run on this hardware."""
    return any(gated.hardware.get(gate) == "unsupported" for gate in (hardware.id, hardware.generation))


def left_out(choice: Choice) -> tuple[str, ...]:
    """Why a feature that would be on is not."""
    gated = (
        name for name, _ in choice.features if unsupported(choice.recipe.features[name], choice.hardware)
    )
    return tuple(f"feature {name} does not run on {choice.hardware.id}: left out" for name in gated)


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
    """The mode that runs: the wanted one, the variant's, the feature's, the first; "" where none may run
    here.
    """
    allowed = modes_allowed(choice, feature)
    for mode in (wanted, choice.variant.default_modes.get(name), feature.default_mode):
        if mode in allowed:
            return mode or ""
    return allowed[0] if allowed else ""


def modes_allowed(choice: Choice, feature: Feature) -> Sequence[str]:
    """The modes that this variant and this hardware can have."""
    return [
        name
        for name, mode in feature.modes.items()
        if (not mode.variants or choice.variant_name in mode.variants)
        and not unsupported(mode, choice.hardware)
    ]
