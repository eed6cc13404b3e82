"""`invoke plan` and `invoke recipes`: what would run, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.shared_options import OUTPUT, Format
from commands.task import verb
from errors import Failed, Refused
from launch.render import FORMATS
from launch.spec.option import Option
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from launch.recipes.repository import RecipeRepository
    from launch.recipes.schema import Recipe


@verb()
def plan(
    c: Context,
    options: PlanOptions,
    format: Annotated[str, Option("output format", choices=FORMATS, group=OUTPUT)] = "text",
) -> None:
    """Show what would run and why: image, command, container access, memory.

    Nothing is started.

    invoke plan --gpus 4
    invoke plan MiniMaxAI/MiniMax-M2.1 --hardware mi300x --gpus 8 --format compose
    """
    from launch.operations.plan_inputs import plan_of
    from launch.render import render

    text = render(plan_of(options), format)
    show(text) if format == "text" else print(text)


@verb()
def recipes(
    c: Context,
    recipes: Annotated[
        str,
        Option(
            "folder in the layout of vllm-project/recipes (default: the built-in recipes)",
            metavar="PATH",
            setting=True,
        ),
    ] = "",
    render: Annotated[
        str, Option("write one JSON line for each model, hardware and strategy; - is stdout", metavar="PATH")
    ] = "",
    vllm: Annotated[
        str, Option("render for this vLLM version (default: those of the recipes)", metavar="VERSION")
    ] = "",
    format: Format = "text",
) -> None:
    """List recipes, or render the command for every recipe, hardware and strategy (--render)."""
    from launch.recipes.repository import open_repository

    repository = open_repository(recipes)
    if render:
        _render_all(repository, render, vllm)
        return
    readable, broken = repository.read(repository.names())
    found = [_about(recipe) for recipe in readable]
    if format == "json":
        emit(found)
    else:
        rows = [(row["model"], row["parameters"], ", ".join(row["strategies"])) for row in found]
        show(table(("MODEL", "PARAMETERS", "STRATEGIES"), rows))
    _refuse(broken)


def _refuse(broken: list[Refused]) -> None:
    """Report the recipes that cannot be read, after all the others. Raises the first Refused."""
    for error in broken[1:]:
        say(str(error))
    if broken:
        raise broken[0]


def _about(recipe: Recipe) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "parameters": recipe.model.parameter_count or "-",
        "variants": list(recipe.variants) or ["default"],
        "strategies": list(recipe.compatible_strategies),
        "features": list(recipe.features),
    }


def _render_all(repository: RecipeRepository, target: str, vllm: str) -> None:
    """Write the rows to a file, and the number of each kind to stderr."""
    import json
    from pathlib import Path

    from launch.planning.matrix import rows
    from launch.planning.vllm_versions import parse
    from launch.recipes.repository import builtin_shapes

    if vllm:
        parse(vllm)  # refuses what is not a version
    names = repository.first_folder_names()
    readable, broken = repository.read(names)
    shapes = builtin_shapes()
    found = [row for recipe in readable for row in rows(repository, recipe, shapes, vllm, frozenset(names))]
    text = "".join(json.dumps(row) + "\n" for row in found)
    if target == "-":
        print(text, end="")
    else:
        try:
            Path(target).write_text(text)
        except OSError as error:
            raise Failed(f"cannot write '{target}'", why=str(error)) from error
    refused, corrected = (sum(key in row for row in found) for key in ("refused", "corrected"))
    say(f"{len(found)} commands: {refused} refused, {corrected} corrected")
    _refuse(broken)
