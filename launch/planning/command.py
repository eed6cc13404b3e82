"""Turn a recipe and the selection in it into the options of `vllm serve`, in the order of upstream's site.

The layers are, in this order: model, variant, strategy, the recipe's changes to the strategy, hardware, features. A
later layer wins. Every option records the key that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from launch.planning.features import Layer, feature_layers, left_out
from launch.planning.selection import Selection
from launch.recipes.schema import Override
from launch.recipes.strategy import multi_node_args, single_node_args, tp_of_one_node
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.vllm_args import Arg, Draft, EnvVar, last_env, last_wins, parse, split_words


def recipe_command(selection: Selection, rank: int = 0) -> Draft:
    """Return the recipe's options and environment for node `rank`."""
    file = selection.recipe.file or selection.recipe.name
    args: list[Arg] = []
    env: list[EnvVar] = []
    corrections: list[str] = []
    for layer in layers(selection, rank):
        source = f"{file}: {layer.key}"
        words, split = split_words(layer.args)
        corrections += split
        args += parse(words, source, layer.why)
        env += (EnvVar(name, value, source, layer.why) for name, value in (layer.env or {}).items())
    draft = Draft(last_wins(args), last_env(env)).corrected(*left_out(selection), *corrections)
    return fit_ranks(selection, draft, rank)


def fit_ranks(selection: Selection, draft: Draft, rank: int) -> Draft:
    """Reduce DP if a hardware block adds TP to a data parallel strategy, so that DP x TP is the number of GPUs."""
    tp, dp = draft.number("--tensor-parallel-size"), draft.get("--data-parallel-size")
    if not tp or tp == 1 or dp is None or not dp.source.endswith("parallel_flag") or selection.gpus % tp:
        return draft
    total, local = selection.gpus * selection.nodes, selection.gpus // tp
    size = draft.number("--data-parallel-size") or 0
    if size * tp <= total:
        return draft
    sizes = {
        "--data-parallel-size": total // tp,
        "--data-parallel-size-local": local,
        "--data-parallel-start-rank": rank * local,
    }
    args = tuple(
        replace(arg, values=(str(sizes[arg.key]),)) if arg.key in sizes else arg for arg in draft.args
    )
    product = f"DP{size} x TP{tp} = {size * tp} GPUs, but there are {total}"
    return replace(draft, args=args).corrected(f"{product}: DP is {total} / {tp} = {total // tp}")


def layers(selection: Selection, rank: int) -> Iterator[Layer]:
    """Yield all layers, in order."""
    recipe, variant, hardware = selection.recipe, selection.variant, selection.hardware
    key = f"variants.{selection.variant_name}"
    why = "needed by the model on all hardware"
    yield Layer("model.base_args", why, recipe.model.base_args, recipe.model.base_env)
    yield Layer(f"{key}.extra_args", variant.description or key, variant.extra_args, variant.extra_env)
    exact = variant.hardware_overrides.get(hardware.id)
    if exact:
        yield _override_layer(f"{key}.hardware_overrides.{hardware.id}", exact, hardware)
    yield from _strategy_layers(selection, rank)
    yield from _hardware_layers(selection)
    yield from feature_layers(selection)


def _strategy_layers(selection: Selection, rank: int) -> Iterator[Layer]:
    strategy, override = selection.strategy, selection.override
    name = strategy.display_name or strategy.name
    worker_args = strategy.worker_args if rank else ()
    yield Layer(f"strategies.{strategy.name}", name, (*strategy.vllm_args, *worker_args), strategy.env)
    args, why = parallel_args(selection, rank)
    yield Layer(f"strategies.{strategy.name}.parallel_flag", f"{name}: {why}", args)
    key, why = f"strategy_overrides.{strategy.name}", f"the recipe's setting for {strategy.name}"
    args = (*override.extra_args, *override.vllm_args)
    yield Layer(key, why, args, {**override.env, **override.extra_env})


def parallel_args(selection: Selection, rank: int) -> tuple[tuple[str, ...], str]:
    """Return the options that spread the ranks, and the reason for their numbers."""
    strategy, gpus, nodes = selection.strategy, selection.gpus, selection.nodes
    if strategy.multi_node and nodes > 1:
        args = multi_node_args(strategy, gpus, nodes, rank, _local_ranks(selection))
        return args, f"{nodes} nodes of {gpus} GPUs"
    if selection.tp:
        return single_node_args(strategy, selection.tp), f"{selection.tp} of {gpus} GPUs make a valid layout"
    if strategy.name == "single_node_tp":
        size, why = tp_of_one_node(selection.recipe, selection.variant, selection.hardware, gpus)
        return single_node_args(strategy, size), why
    return single_node_args(strategy, gpus), f"all {gpus} GPUs of a node"


def _local_ranks(selection: Selection) -> int:
    """Return the data parallel ranks on a node. The recipe may set fewer than GPUs, with TP inside each rank."""
    override, hardware = selection.override, selection.hardware
    wide = hardware.pick_wide(override.hardware_overrides)
    exact = override.hardware_overrides.get(hardware.id)
    argv = (
        *override.vllm_args,
        *override.extra_args,
        *(wide[1].extra_args if wide else ()),
        *(exact.extra_args if exact else ()),
    )
    return Draft(parse(argv)).number("--data-parallel-size-local", selection.gpus) or selection.gpus


def _hardware_layers(selection: Selection) -> Iterator[Layer]:
    """Yield the hardware blocks.

    A strategy's block for a generation replaces those of recipe and variant. Its block for the exact GPU is added.
    """
    hardware, overrides = selection.hardware, selection.override.hardware_overrides
    key = f"strategy_overrides.{selection.strategy.name}.hardware_overrides"
    wide = hardware.pick_wide(overrides)
    if wide:
        yield _override_layer(f"{key}.{wide[0]}", wide[1], hardware)
    else:
        yield from _general_hardware_layers(selection)
    if hardware.id in overrides and not (wide and wide[0] == hardware.id):
        yield _override_layer(f"{key}.{hardware.id}", overrides[hardware.id], hardware)


def _general_hardware_layers(selection: Selection) -> Iterator[Layer]:
    hardware = selection.hardware
    entry = hardware.pick(selection.recipe.hardware_overrides)
    if entry:
        yield _override_layer(f"hardware_overrides.{entry[0]}", entry[1], hardware)
    entry = hardware.pick_wide(selection.variant.hardware_overrides)
    if entry:
        key = f"variants.{selection.variant_name}.hardware_overrides.{entry[0]}"
        yield _override_layer(key, entry[1], hardware)


def _override_layer(key: str, override: Override, hardware: HardwareProfile) -> Layer:
    return Layer(key, f"the recipe's setting for {hardware.id}", override.extra_args, override.extra_env)
