"""The vLLM options of a recipe's features, in the mode that runs here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from launch.planning.selection import Selection, allowed_modes, is_unsupported
from launch.recipes.schema import Feature, FeatureArgs


@dataclass(frozen=True)
class Layer:
    """Options and environment that one key of a recipe adds."""

    key: str
    why: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None


def feature_layers(selection: Selection) -> Iterator[Layer]:
    """Yield the options of the enabled features that the strategy and the hardware allow."""
    for name, mode in selection.features:
        feature = selection.recipe.features[name]
        allowed = not feature.strategies or selection.strategy.name in feature.strategies
        if allowed and not is_unsupported(feature, selection.hardware):
            yield from _layer(selection, name, feature, mode)


def left_out(selection: Selection) -> tuple[str, ...]:
    """Return a note for each enabled feature that does not run on this hardware."""
    hardware, features = selection.hardware, selection.recipe.features
    names = (name for name, _ in selection.features if is_unsupported(features[name], hardware))
    return tuple(f"feature {name} does not run on {hardware.id}: left out" for name in names)


def _layer(selection: Selection, name: str, feature: Feature, wanted: str) -> Iterator[Layer]:
    part: FeatureArgs = feature
    key, overrides = f"features.{name}", feature.hardware_overrides
    if feature.modes:
        mode = mode_of(selection, name, feature, wanted)
        if not mode:
            return
        part, key = feature.modes[mode], f"{key}.modes.{mode}"
        overrides = feature.modes[mode].hardware_overrides
    entry = selection.hardware.pick(overrides)
    special = entry[1] if entry else overrides.get("default", FeatureArgs())
    args = special.args if special.args is not None else part.args
    env = special.env if special.env is not None else part.env
    yield Layer(key, feature.description or f"feature {name}", args or (), env)


def mode_of(selection: Selection, name: str, feature: Feature, wanted: str) -> str:
    """Return the mode that runs: the wanted one, the variant's, the feature's, else the first allowed one.

    Return "" if no mode is allowed here.
    """
    allowed = allowed_modes(selection, feature)
    for mode in (wanted, selection.variant.default_modes.get(name), feature.default_mode):
        if mode in allowed:
            return mode or ""
    return allowed[0] if allowed else ""
