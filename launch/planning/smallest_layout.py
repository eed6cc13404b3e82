"""Choose the tensor parallel size: the largest valid one of a recipe, the smallest that fits without a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from launch.planning import memory
from launch.planning.memory_check import demand_of
from launch.planning.parallelism import check
from launch.planning.selection import Selection
from launch.planning.validation import DP, EP, PP, TP, release, widest_valid
from launch.recipes.from_config import ConfigRecipe
from launch.spec.inputs import Host, Image
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from launch.spec.plan_options import PlanOptions
from launch.spec.vllm_args import Draft


def choose_size(
    options: PlanOptions,
    selection: Selection,
    shape: ModelShape | None,
    host: Host,
    image: Image,
    command: Callable[[Selection], Draft],
) -> tuple[Selection, str]:
    """Set the tensor parallel size if the user leaves it open, with a note if that leaves GPUs idle.

    `command` returns the command of a selection.
    """
    if isinstance(selection.recipe, ConfigRecipe):
        return smallest_fitting(options, selection, shape, host, image, command)
    return widest_valid(options, selection, shape, image)


def smallest_fitting(
    options: PlanOptions,
    selection: Selection,
    shape: ModelShape | None,
    host: Host,
    image: Image,
    command: Callable[[Selection], Draft],
) -> tuple[Selection, str]:
    """Set the smallest TP that is valid and fits with the model's own context, with a note if GPUs are idle.

    If none fits, set the largest valid one: the context is shortened, or the plan refused, with that layout.
    """
    chosen = options.strategy or any(flag in (TP, DP, PP, EP) for flag, _ in options.settings)
    if chosen or selection.strategy.name != "single_node_tp" or shape is None:
        return selection, ""
    gpus, version = selection.gpus, release(image)
    valid = [tp for tp in range(1, gpus + 1) if check(shape, Layout(tp), gpus, version).valid is not False]
    if not valid:
        return selection, ""
    on_gpus = host.hardware.platform != "cpu"  # on CPU, the user sets the number of ranks
    candidates = {tp: replace(selection, tp=tp) for tp in (valid if on_gpus else valid[-1:])}
    fitting = (tp for tp, one in candidates.items() if _fits(command(one), tp, shape, host, one))
    tp = next(fitting, valid[-1])
    note = f"TP{tp} leaves {gpus - tp} of {gpus} GPUs idle"
    more = valid[-1]
    why = f"the model fits; to use {more}: --set {TP}={more}" if tp < more else "no larger TP is valid"
    return candidates[tp] if tp in candidates else replace(
        selection, tp=tp
    ), f"{note}: {why}" if tp < gpus else ""


def _fits(draft: Draft, tp: int, shape: ModelShape, host: Host, selection: Selection) -> bool:
    demand = demand_of(draft, Layout(tp), shape, host, selection)
    return memory.fit(shape, demand).result == "fits"
