"""`invoke plan` and `invoke recipes`: what would run, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from commands.output import emit, say
from commands.task import one_of, setting, verb
from errors import Failed, Refused
from launch.operations.plan_inputs import plan_of
from launch.spec.option import Option
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from launch.recipes.repository import RecipeRepository
    from launch.recipes.schema import Recipe

FORMATS = ("table", "docker", "compose", "quadlet", "kubernetes", "json")


@verb()
def plan(
    c: Any, options: PlanOptions, format: Annotated[str, Option("output format", choices=FORMATS)] = "table"
) -> None:
    """What would run and why: image, command, container access, memory; nothing is started."""
    from launch.render import render

    print(render(plan_of(options), format))


@verb(
    help={
        "recipes": "a folder in the layout of vllm-project/recipes (default: our own)",
        "render": "write a JSON line for each model, hardware and strategy to this file (- is stdout)",
        "vllm": "one vLLM version instead of those that the recipes are for",
        "format": "table or json, of the list of recipes",
    }
)
def recipes(c: Any, recipes: str = "", render: str = "", vllm: str = "", format: str = "table") -> None:
    """The recipes there are, or every command they stand for: equal to upstream's, corrected or refused."""
    from launch.recipes.repository import open_repository

    one_of("format", format, ("table", "json"))
    book = open_repository(setting(c, "recipes", recipes))
    if render:
        _render_all(book, render, vllm)
        return
    readable, broken = book.read(book.names())
    found = [_about(recipe) for recipe in readable]
    if format == "json":
        emit(found)
    else:
        for row in found:
            print(f"{row['model']:<52} {row['parameters']:>8}  {', '.join(row['strategies'])}")
    _refuse(broken)


def _refuse(broken: list[Refused]) -> None:
    """Recipes that could not be read, after all that could."""
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


def _render_all(book: RecipeRepository, target: str, vllm: str) -> None:
    """Rows to a file, and how many of each kind to stderr."""
    import json
    from pathlib import Path

    from launch.planning.matrix import rows
    from launch.recipes.repository import known_shapes

    readable, broken = book.read(book.own_names())
    shapes = known_shapes()
    found = [row for recipe in readable for row in rows(book, recipe, shapes, vllm)]
    text = "".join(json.dumps(row) + "\n" for row in found)
    if target == "-":
        print(text, end="")
    else:
        try:
            Path(target).write_text(text)
        except OSError as error:
            raise Failed(f"cannot write {target}", why=str(error)) from error
    refused, corrected = (sum(key in row for row in found) for key in ("refused", "corrected"))
    say(f"{len(found)} commands: {refused} refused, {corrected} corrected")
    _refuse(broken)
