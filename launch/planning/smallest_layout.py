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
    largest = replace(selection, tp=valid[-1])
    if host.hardware.platform == "cpu":  # there the user sets the number of ranks
        return largest, _idle_note(valid[-1], gpus, valid[-1])
    candidates = (replace(selection, tp=tp) for tp in valid)
    fitting = (one for one in candidates if _fits(command(one), shape, host, one, version))
    found = next(fitting, largest)
    return found, _idle_note(found.tp, gpus, valid[-1])


def _fits(draft: Draft, shape: ModelShape, host: Host, selection: Selection, version: str) -> bool:
    demand = demand_of(draft, Layout(selection.tp), shape, host, selection, version)
    return memory.fit(shape, demand).result == "fits"


def left_idle(layout: Layout, selection: Selection, shape: ModelShape | None, version: str) -> str:
    """Return a note if the command of a recipe or of the user leaves GPUs idle, and how to use them; else ""."""
    total = selection.gpus * selection.nodes
    if selection.hardware.generation == "cpu" or layout.gpus >= total:
        return ""
    idle = f"{layout.name} leaves {total - layout.gpus} of {total} GPUs idle"
    valid = (
        tp
        for tp in range(selection.gpus, layout.tp, -1)
        if check(shape, Layout(tp), selection.gpus, version).valid
    )
    larger = next(valid, None) if layout.dp == layout.pp == 1 else None
    return f"{idle}: to use {larger}: --set {TP}={larger}" if larger else idle


def _idle_note(tp: int, gpus: int, largest: int) -> str:
    """Return how many GPUs a size leaves idle, and how to use more of them; "" if it leaves none."""
    if tp == gpus:
        return ""
    why = (
        f"the model fits; to use {largest}: --set {TP}={largest}" if tp < largest else "no larger TP is valid"
    )
    return f"TP{tp} leaves {gpus - tp} of {gpus} GPUs idle: {why}"
