"""Select variant, strategy and features of a recipe: those that the user names, else the recipe's.

What the recipe excludes on this hardware is refused here, before any option is put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from errors import Refused, choice
from launch.planning.requirements import check_hardware, check_host, check_strategy
from launch.recipes.repository import checkpoints
from launch.recipes.schema import Feature, Mode, Recipe, StrategyOverride, Variant
from launch.recipes.strategy import Strategy, offered, runs_on
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.inputs import Host
from launch.spec.plan_options import PlanOptions
from launch.spec.vllm_args import long_form

NO_VARIANT = Variant()
NO_OVERRIDE = StrategyOverride()
# The strategy for a parallel option that the user sets; the first in this order counts.
STRATEGY_BY_FLAG = {
    "--data-parallel-size": "dep",
    "--enable-expert-parallel": "tep",
    "--tensor-parallel-size": "tp",
    "--pipeline-parallel-size": "tp",
}


@dataclass(frozen=True)
class Selection:
    """One way to run a recipe. `features` are pairs of name and mode; mode "" leaves it to the recipe."""

    recipe: Recipe
    variant_name: str
    strategy: Strategy
    hardware: HardwareProfile
    gpus: int
    nodes: int = 1
    features: tuple[tuple[str, str], ...] = ()
    tp: int = 0  # 0: by the recipe's rules

    @property
    def variant(self) -> Variant:
        """Return the selected variant."""
        return self.recipe.variants.get(self.variant_name, NO_VARIANT)

    @property
    def override(self) -> StrategyOverride:
        """Return what the recipe changes about the strategy."""
        return self.recipe.strategy_overrides.get(self.strategy.name, NO_OVERRIDE)

    @property
    def model_id(self) -> str:
        """Return the checkpoint to serve."""
        return self.variant.model_id or self.recipe.model.model_id


def select(options: PlanOptions, host: Host, recipe: Recipe, strategies: Mapping[str, Strategy]) -> Selection:
    """Return the selection for these options. Raises Refused for what recipe or host does not offer."""
    if "omni" in recipe.meta.tasks:
        what = f"{recipe.name} runs on vLLM-Omni, which Slipway does not plan"
        raise Refused(what, why=f"{recipe.file}: meta.tasks lists omni", fix="invoke recipes")
    check_host(host)
    name = variant_of(options, recipe)
    check_hardware(recipe, name, recipe.variants.get(name, NO_VARIANT), host.hardware)
    strategy = _strategy(options, host, recipe, strategies)
    selection = Selection(recipe, name, strategy, host.hardware, host.gpus, host.nodes)
    return replace(selection, features=_features(options, selection))


def variant_of(options: PlanOptions, recipe: Recipe) -> str:
    """Return the variant that the user names, else the one of the checkpoint. Raises Refused if unknown."""
    if options.variant and options.variant not in recipe.variants:
        raise choice("variant", options.variant, tuple(recipe.variants) or ("default",))
    return options.variant or checkpoints(recipe).get(options.model, "default")


def model_of(options: PlanOptions, recipe: Recipe) -> str:
    """Return the checkpoint that these options serve. Raises Refused for an unknown variant."""
    variant = recipe.variants.get(variant_of(options, recipe), NO_VARIANT)
    return variant.model_id or recipe.model.model_id


def _strategy(
    options: PlanOptions, host: Host, recipe: Recipe, strategies: Mapping[str, Strategy]
) -> Strategy:
    names = offered(recipe)
    name = options.strategy or default_strategy(options, host, recipe)
    if name not in names:
        fix = f"choose from {', '.join(names)}" if names else ""
        raise Refused(f"{recipe.name} does not list the strategy '{name}'", fix=fix)
    strategy = strategies.get(name)
    if strategy is None or strategy.deploy_type not in ("single_node", "multi_node"):
        why = "it is several servers behind a router, which Slipway does not plan"
        fix = f"choose from {', '.join(other for other in names if other in strategies)}"
        raise Refused(f"cannot plan the strategy '{name}'", why=why, fix=fix)
    check_strategy(strategy, host, recipe)
    return strategy


def default_strategy(options: PlanOptions, host: Host, recipe: Recipe) -> str:
    """Return the strategy by the user's parallel options, else by x-slipway.strategies, else by the recipe."""
    names = offered(recipe)
    prefix = "multi_node_" if host.nodes > 1 else "single_node_"
    flags = {long_form(flag) for flag, _ in options.settings}
    total = host.gpus * host.nodes
    wanted = [
        *(prefix + kind for flag, kind in STRATEGY_BY_FLAG.items() if flag in flags),
        *(rule.strategy for rule in recipe.extension.strategies if rule.gpus is None or total <= rule.gpus),
        *(recipe.default_strategy or "", f"{prefix}tp", f"{prefix}dep", f"{prefix}tep"),
    ]
    candidates = [
        name.replace("single_node_", prefix).replace("multi_node_", prefix) for name in wanted if name
    ]
    usable = [name for name in candidates if name in names and runs_on(recipe, name, host.hardware)]
    return next(iter(usable), candidates[-1] if not names else _nearest(candidates, names, prefix))


def _nearest(candidates: list[str], names: tuple[str, ...], prefix: str) -> str:
    """Return a strategy for the refusal to name if none is usable: a listed one for as many nodes, if any."""
    return next((name for name in names if name.startswith(prefix)), candidates[0])


def _features(options: PlanOptions, selection: Selection) -> tuple[tuple[str, str], ...]:
    recipe, modes = selection.recipe, dict(options.features)
    for name in (*modes, *options.without):
        if name not in recipe.features:
            raise choice("feature", name, tuple(recipe.features) or ("none",))
    _check_once(options)
    for name, mode in modes.items():
        _check_mode(selection, name, mode)
    return enabled_features(selection, modes, options.without)


def _check_once(options: PlanOptions) -> None:
    """Raise Refused for a feature that is both on and off, or in two modes."""
    modes: dict[str, str] = {}
    for name, mode in options.features:
        if name in options.without:
            raise Refused(f"the feature {name} is enabled and disabled", fix=f"--feature {name}")
        if modes.setdefault(name, mode) != mode:
            both = f"'{modes[name]}' and '{mode}'"
            raise Refused(
                f"--feature {name} is given twice, with {both}", fix=f"--feature {name}={mode or modes[name]}"
            )


def _check_mode(selection: Selection, name: str, mode: str) -> None:
    """Raise Refused if a feature that the user asks for, or its mode, does not run here."""
    feature, hardware = selection.recipe.features[name], selection.hardware
    if is_unsupported(feature, hardware):
        what = f"feature {name} does not run on {hardware.id}"
        raise Refused(
            what, why=f"{selection.recipe.file}: features.{name}.hardware", fix=f"--no-feature {name}"
        )
    if mode and mode not in feature.modes:
        raise choice(f"mode of {name}", mode, tuple(feature.modes) or ("none",))
    allowed = allowed_modes(selection, feature)
    if feature.modes and (mode not in allowed if mode else not allowed):
        what = f"{name}={mode} does not run with variant {selection.variant_name} on {hardware.id}"
        raise Refused(what, fix=f"choose from {', '.join(allowed)}" if allowed else f"--no-feature {name}")


def default_features(recipe: Recipe, hardware: HardwareProfile) -> tuple[str, ...]:
    """Return the features that are on by default: all that are not opt-in, in general or on this hardware."""
    entry = hardware.pick(recipe.hardware_opt_in_features)
    opt_in = {*recipe.opt_in_features, *(entry[1] if entry else ())}
    return tuple(name for name in recipe.features if name not in opt_in)


def enabled_features(
    selection: Selection, modes: Mapping[str, str] | None = None, without: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Return the features that are on, with their modes, in the recipe's order.

    They are the defaults, those of the variant's modes, and those of `modes`, without `without`.
    """
    recipe, modes = selection.recipe, modes or {}
    names = {*default_features(recipe, selection.hardware), *selection.variant.default_modes, *modes}
    return tuple((name, modes.get(name, "")) for name in recipe.features if name in names - {*without})


def is_unsupported(feature: Mode, hardware: HardwareProfile) -> bool:
    """Return whether a feature or a mode excludes this hardware."""
    return any(feature.hardware.get(key) == "unsupported" for key in (hardware.id, hardware.generation))


def allowed_modes(selection: Selection, feature: Feature) -> Sequence[str]:
    """Return the modes that run with this variant on this hardware."""
    return [
        name
        for name, mode in feature.modes.items()
        if (not mode.variants or selection.variant_name in mode.variants)
        and not is_unsupported(mode, selection.hardware)
    ]
