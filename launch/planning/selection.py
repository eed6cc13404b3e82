"""Which variant, strategy and features a plan takes: the user's where they named one, else the recipe's.

Everything that a recipe rules out for the wished hardware is refused here, before any option is put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from errors import Refused, choice
from launch.planning.choice import Choice
from launch.planning.features import features_on, modes_allowed, unsupported
from launch.recipes.repository import checkpoints
from launch.recipes.schema import Recipe, Variant
from launch.recipes.strategy import Strategy, min_gpus, offered, runs_on
from launch.spec.gpu_catalog import Hardware
from launch.spec.inputs import Host, PlanOptions

# 4-bit floating point needs the matrix units of Blackwell, unless the variant says otherwise
# (precision_hardware).
NEEDS = {
    "nvfp4": {"brand": "NVIDIA", "generation": "blackwell"},
    "fp4": {"brand": "NVIDIA", "generation": "blackwell"},
}
PARALLEL = {
    "--data-parallel-size": "dep",
    "--enable-expert-parallel": "tep",
    "--tensor-parallel-size": "tp",
    "--pipeline-parallel-size": "tp",
}


def select(options: PlanOptions, host: Host, recipe: Recipe, strategies: Mapping[str, Strategy]) -> Choice:
    """The choice of a wish in a recipe. Raises Refused for what recipe or host does not have."""
    if "omni" in recipe.meta.tasks:
        raise Refused(
            f"{recipe.name} generates with vLLM-Omni, which is not planned here", why="meta.tasks: omni"
        )
    check_host(host)
    variant = variant_of(options, recipe)
    check_hardware(recipe, variant, recipe.variants.get(variant, Variant()), host.hardware)
    strategy = _strategy(options, host, recipe, strategies)
    found = Choice(recipe, variant, strategy, host.hardware, host.gpus, host.nodes)
    return replace(found, features=_features(options, found))


def check_host(host: Host) -> None:
    """Raises Refused for more GPUs than a node has, or nodes that cannot be joined."""
    hardware = host.hardware
    if host.gpus < 1 or host.nodes < 1:
        raise Refused(
            f"{host.nodes} node(s) with {host.gpus} GPU(s) cannot serve",
            fix="--gpus 1 or more, --nodes 1 or more",
        )
    if hardware.per_node and host.gpus > hardware.per_node:
        nodes = -(-host.gpus // hardware.per_node)
        fix = f"--gpus {hardware.per_node}" + (f" --nodes {nodes}" if hardware.scalable else "")
        raise Refused(
            f"{host.gpus} GPUs asked for, but the host ({hardware.id}) has {hardware.per_node}", fix=fix
        )
    if host.nodes > 1 and not hardware.scalable:
        raise Refused(
            f"{hardware.id} cannot be joined into several nodes", why=hardware.source, fix="--nodes 1"
        )


def variant_of(options: PlanOptions, recipe: Recipe) -> str:
    """The wished variant, else the one that serves the wished checkpoint. Raises Refused if unknown."""
    if options.variant and options.variant not in recipe.variants:
        raise choice("variant", options.variant, tuple(recipe.variants) or ("default",))
    return options.variant or checkpoints(recipe).get(options.model, "default")


def check_hardware(recipe: Recipe, name: str, variant: Variant, hardware: Hardware) -> None:
    """Raises Refused where the recipe or the number format rules the hardware out."""
    if recipe.meta.hardware.get(hardware.id) == "unsupported":
        raise Refused(
            f"{recipe.name} does not run on {hardware.id}",
            why=f"{recipe.file}: meta.hardware says unsupported",
        )
    if variant.supported_hardware and hardware.id not in variant.supported_hardware:
        names = ", ".join(variant.supported_hardware)
        raise Refused(
            f"variant {name} does not run on {hardware.id}",
            why=f"{recipe.file} lists: {names}",
            fix="--variant or --hardware",
        )
    missing = lacks(variant, hardware)
    if missing:
        others = [key for key, other in recipe.variants.items() if not lacks(other, hardware)]
        fix = f"--variant {others[0]}" if others else "other hardware"
        raise Refused(
            f"variant {name} ({variant.precision}) does not run on {hardware.id}", why=missing, fix=fix
        )


def lacks(variant: Variant, hardware: Hardware) -> str:
    """What the variant's number format needs and the hardware has not; "" where it has all."""
    needs = variant.precision_hardware or NEEDS.get(variant.precision, {})
    has = {"brand": hardware.brand, "generation": hardware.generation}
    missing = [f"{key} {value}" for key, value in needs.items() if key in has and has[key] != value]
    return (
        f"{variant.precision} needs {' and '.join(missing)}; {hardware.id} is {' '.join(has.values())}"
        if missing
        else ""
    )


def _strategy(
    options: PlanOptions, host: Host, recipe: Recipe, strategies: Mapping[str, Strategy]
) -> Strategy:
    names = offered(recipe)
    name = options.strategy or default_strategy(options, host, recipe)
    if name not in names:
        raise Refused(
            f"{recipe.name} does not list the strategy '{name}'", fix=f"one of: {', '.join(names) or 'none'}"
        )
    strategy = strategies.get(name)
    if strategy is None or strategy.deploy_type not in ("single_node", "multi_node"):
        raise Refused(
            f"{name} is not planned here: it is several servers behind a router", fix="another --strategy"
        )
    _check_strategy(strategy, host, recipe)
    return strategy


def _check_strategy(strategy: Strategy, host: Host, recipe: Recipe) -> None:
    name, hardware = strategy.name, host.hardware
    if strategy.multi and host.nodes == 1:
        raise Refused(f"{name} spans several nodes", fix="--nodes 2")
    if not strategy.multi and host.nodes > 1:
        fix = f"--strategy {name.replace('single_node', 'multi_node')}, or --nodes 1"
        raise Refused(f"{name} stays on one node, {host.nodes} were asked for", fix=fix)
    if not runs_on(recipe, name, hardware):
        raise Refused(
            f"{name} does not run on {hardware.id}",
            why=f"{recipe.file}: strategy_hardware.{name}",
            fix="another --strategy",
        )
    need, have = min_gpus(recipe, name, hardware), host.gpus * host.nodes
    if have < need:
        raise Refused(
            f"{name} needs {need} GPUs, {have} are planned",
            why=f"{recipe.file}: strategy_min_gpus",
            fix="more --nodes",
        )


def default_strategy(options: PlanOptions, host: Host, recipe: Recipe) -> str:
    """By the user's own parallel options, our recipe's rule by GPUs, the recipe's default, in this order."""
    names = offered(recipe)
    prefix = "multi_node_" if host.nodes > 1 else "single_node_"
    wanted = [
        prefix + kind for flag, kind in PARALLEL.items() if any(flag == name for name, _ in options.settings)
    ]
    total = host.gpus * host.nodes
    wanted += [rule.strategy for rule in recipe.ours.strategies if rule.gpus is None or total <= rule.gpus]
    wanted += [recipe.default_strategy or "", f"{prefix}tp", f"{prefix}dep", f"{prefix}tep"]
    fitting = [name.replace("single_node_", prefix).replace("multi_node_", prefix) for name in wanted if name]
    usable = [name for name in fitting if name in names and runs_on(recipe, name, host.hardware)]
    return next(iter(usable), fitting[-1] if not names else _nearest(fitting, names, prefix))


def _nearest(fitting: list[str], names: tuple[str, ...], prefix: str) -> str:
    """What a refusal names when nothing fits: a listed strategy of the right kind, if there is one."""
    return next((name for name in names if name.startswith(prefix)), fitting[0])


def _features(options: PlanOptions, found: Choice) -> tuple[tuple[str, str], ...]:
    recipe = found.recipe
    asked = dict(options.features)
    for name in (*asked, *options.without):
        if name not in recipe.features:
            raise choice("feature", name, tuple(recipe.features) or ("none",))
    for name, mode in asked.items():
        _check_mode(found, name, mode)
    return features_on(found, asked, options.without)


def _check_mode(found: Choice, name: str, mode: str) -> None:
    feature = found.recipe.features[name]
    if unsupported(feature, found.hardware):
        raise Refused(
            f"feature {name} does not run on {found.hardware.id}",
            why=f"features.{name}.hardware",
            fix=f"--no-feature {name}",
        )
    if mode and mode not in feature.modes:
        raise choice(f"mode of {name}", mode, tuple(feature.modes) or ("none",))
    allowed = modes_allowed(found, feature)
    if feature.modes and (mode not in allowed if mode else not allowed):
        names = ", ".join(allowed) or "none"
        raise Refused(
            f"{name}={mode} does not run with variant {found.variant_name} on {found.hardware.id}",
            fix=f"modes that do: {names}",
        )
