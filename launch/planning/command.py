"""From a recipe and the choices in it to the options of `vllm serve`, in the order of upstream's site.

Layer by layer, later ones win: model, variant, strategy, the recipe's word on the strategy, hardware,
features. Every option carries the key that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from launch.planning.choice import Choice, Layer
from launch.planning.features import feature_layers, left_out
from launch.recipes.schema import Override
from launch.recipes.strategy import multi_node_words, single_node_words, tp_of_one_node
from launch.spec.gpu_catalog import Hardware
from launch.spec.vllm_args import Arg, Draft, Setting, last_settings, last_wins, parse


def synthesise(choice: Choice, rank: int = 0) -> Draft:
    """The options and environment of node `rank`."""
    file = choice.recipe.file or choice.recipe.name
    args: list[Arg] = []
    env: list[Setting] = []
    for layer in layers(choice, rank):
        source = f"{file}: {layer.key}"
        args += parse(layer.args, source, layer.why)
        env += (Setting(name, value, source, layer.why) for name, value in (layer.env or {}).items())
    draft = Draft(last_wins(args), last_settings(env)).corrected(*left_out(choice))
    return within_node(choice, draft, rank)


def within_node(choice: Choice, draft: Draft, rank: int) -> Draft:
    """TP from a hardware block in a data parallel strategy: the ranks share the GPUs, not multiply them."""
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
    yield from feature_layers(choice)


def _strategy(choice: Choice, rank: int) -> Iterator[Layer]:
    strategy, override = choice.strategy, choice.override
    name = strategy.display_name or strategy.name
    follower = strategy.worker_args if rank else ()
    yield Layer(f"strategies.{strategy.name}", name, (*strategy.vllm_args, *follower), strategy.env)
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
    """A strategy's generation block replaces the recipe's and the variant's; its exact GPU's is added."""
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
