"""Check what a recipe and its variants require of the hardware."""

from __future__ import annotations

from errors import Refused
from launch.plural import count
from launch.recipes.schema import Recipe, Variant
from launch.recipes.strategy import Strategy, min_gpus, offered, runs_on
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.inputs import Host

# 4-bit floating point needs the matrix units of Blackwell, unless the variant says otherwise
# (precision_hardware).
PRECISION_NEEDS = {
    "nvfp4": {"brand": "NVIDIA", "generation": "blackwell"},
    "fp4": {"brand": "NVIDIA", "generation": "blackwell"},
}


def check_host(host: Host) -> None:
    """Raise Refused for more GPUs than a node has, or for nodes that cannot be joined."""
    hardware = host.hardware
    if host.gpus < 1 or host.nodes < 1:
        what = f"{count(host.nodes, 'node')} with {count(host.gpus, 'GPU')} cannot serve a model"
        raise Refused(what, fix="--gpus 1 --nodes 1")
    if hardware.per_node and host.gpus > hardware.per_node:
        nodes = -(-host.gpus // hardware.per_node)
        fix = f"--gpus {hardware.per_node}" + (f" --nodes {nodes}" if hardware.scalable else "")
        has = count(hardware.per_node, "GPU")
        raise Refused(f"--gpus {host.gpus}: a node of {hardware.id} has {has}", fix=fix)
    if host.nodes > 1 and not hardware.scalable:
        what = f"several nodes of {hardware.id} cannot serve one model together"
        raise Refused(what, why=hardware.source, fix="--nodes 1")


def check_hardware(recipe: Recipe, name: str, variant: Variant, hardware: HardwareProfile) -> None:
    """Raise Refused if the recipe or the number format excludes the hardware."""
    if recipe.meta.hardware.get(hardware.id) == "unsupported":
        why = f"{recipe.file}: meta.hardware says unsupported"
        raise Refused(f"{recipe.name} does not run on {hardware.id}", why=why)
    what = f"variant {name} does not run on {hardware.id}"
    if variant.supported_hardware and hardware.id not in variant.supported_hardware:
        why = f"{recipe.file} lists: {', '.join(variant.supported_hardware)}"
        raise Refused(what, why=why, fix=f"--hardware {variant.supported_hardware[0]}")
    missing = missing_for_precision(variant, hardware)
    if missing:
        others = (key for key, other in recipe.variants.items() if not missing_for_precision(other, hardware))
        other = next(others, "")
        fix = f"--variant {other}" if other else "--hardware of another generation"
        raise Refused(
            f"variant {name} ({variant.precision}) does not run on {hardware.id}", why=missing, fix=fix
        )


def missing_for_precision(variant: Variant, hardware: HardwareProfile) -> str:
    """Return what the variant's number format needs and the hardware lacks, "" if it lacks nothing."""
    if variant.precision == "fp8" and hardware.brand == "AMD" and hardware.arch and not hardware.formats:
        return f"fp8 needs FP8 matrix units; {hardware.id} ({hardware.arch}) does not have them"
    needs = variant.precision_hardware or PRECISION_NEEDS.get(variant.precision, {})
    has = {"brand": hardware.brand, "generation": hardware.generation}
    missing = [f"{key} {value}" for key, value in needs.items() if key in has and has[key] != value]
    if not missing:
        return ""
    return f"{variant.precision} needs {' and '.join(missing)}; {hardware.id} is {' '.join(has.values())}"


def check_strategy(strategy: Strategy, host: Host, recipe: Recipe) -> None:
    """Raise Refused if the strategy does not suit the nodes, the hardware or the number of GPUs."""
    name, hardware = strategy.name, host.hardware
    if strategy.multi_node and host.nodes == 1:
        raise Refused(f"{name} needs several nodes", fix="--nodes 2")
    if not strategy.multi_node and host.nodes > 1:
        fix = f"--strategy {name.replace('single_node', 'multi_node')}"
        raise Refused(f"{name} uses one node, but --nodes is {host.nodes}", fix=fix)
    if not runs_on(recipe, name, hardware):
        why = f"{recipe.file}: strategy_hardware.{name}"
        names = ", ".join(other for other in offered(recipe) if runs_on(recipe, other, hardware))
        fix = f"choose from {names}" if names else "--hardware of another kind"
        raise Refused(f"{name} does not run on {hardware.id}", why=why, fix=fix)
    need, have = min_gpus(recipe, name, hardware), host.gpus * host.nodes
    if have < need:
        one_node = not hardware.per_node or need <= hardware.per_node
        fix = f"--gpus {need}" if one_node else f"--nodes {-(-need // hardware.per_node)}"
        why = f"{recipe.file}: strategy_min_gpus"
        raise Refused(f"{name} needs {need} GPUs, but the plan has {have}", why=why, fix=fix)
