"""`invoke plan` and `invoke recipes`: what would run, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import emit, say
from commands.task import one_of, setting, verb, whole_number
from errors import Failed, Refused
from launch.operations import plan_inputs

if TYPE_CHECKING:
    from launch.recipes.repository import RecipeRepository
    from launch.recipes.schema import Recipe
    from launch.spec.plan import Plan

FORMATS = ("table", "docker", "compose", "quadlet", "kubernetes", "json")
MODEL = "MiniMaxAI/MiniMax-M2"
# What an option is where neither a flag nor a setting says it.
USUAL = {
    **{"model": MODEL, "access": "least", "port": 8000, "listen": "127.0.0.1", "cdi": "auto"},
    **dict.fromkeys(("hardware", "platform", "gpus", "vllm", "image", "recipes"), ""),
}

# A flag that makes settings of other names void: who names hardware means no other platform.
OVERRULES = {"hardware": ("platform", "image"), "platform": ("hardware", "image")}

HELP = {
    "model": "recipe or checkpoint, org/name",
    "hardware": "GPU to plan for (h200, mi300x, ...) instead of this machine's",
    "platform": "cuda, rocm or cpu",
    "gpus": "how many free GPUs of each node, or which (0,2); ranks on cpu (default: all)",
    "nodes": "machines (default 1)",
    "strategy": "how ranks are laid out; the recipe lists its own",
    "variant": "another checkpoint of the recipe",
    "feature": "switch a feature on, NAME or NAME=MODE; may be repeated",
    "no-feature": "switch a feature off; may be repeated",
    "responses-api": "the parser that the Responses API wants",
    "workaround": "options against a known symptom; may be repeated",
    "max-model-len": "longest context in tokens",
    "set": "--set --flag=value: an option of vllm serve; may be repeated",
    "env": "NAME=VALUE for the server; may be repeated",
    "vllm": "vLLM version to plan for",
    "image": "image to run instead of the platform's",
    "capabilities": "JSON file with what the image's vLLM accepts",
    "access": "least, documented, guide, profiling or rdma",
    "port": "port on this machine (default 8000)",
    "listen": "address of this machine to answer on; any but loopback asks for an API key",
    "cdi": "GPUs by CDI name: yes, no, or auto, where the engine has no other way (default auto)",
    "recipes": "a folder in the layout of vllm-project/recipes",
    "format": "table, docker, compose, quadlet, kubernetes or json",
}


@verb(help=HELP, iterable=["feature", "no_feature", "workaround", "set_", "env"])
def plan(
    c: Any,
    model: str = "",
    hardware: str = "",
    platform: str = "",
    gpus: str = "",
    nodes: str = "1",
    strategy: str = "",
    variant: str = "",
    feature: list[str] | None = None,
    no_feature: list[str] | None = None,
    responses_api: bool = False,
    workaround: list[str] | None = None,
    max_model_len: str = "",
    set_: list[str] | None = None,
    env: list[str] | None = None,
    vllm: str = "",
    image: str = "",
    capabilities: str = "",
    access: str = "",
    port: str = "",
    listen: str = "",
    cdi: str = "",
    recipes: str = "",
    format: str = "table",
) -> None:
    """What would run and why: image, command, container access, memory; nothing is started."""
    options = {name: value for name, value in locals().items() if name not in ("c", "format")}
    from launch.render import render

    one_of("format", format, FORMATS)
    print(render(planned(c, **options), format))


def planned(c: Any, **options: Any) -> Plan:
    """The plan that the options of `invoke plan` describe; `invoke run` starts the same one."""
    asked = dict(options)
    options |= {name: setting(c, name, options.get(name, "")) or usual for name, usual in USUAL.items()}
    for flag, rivals in OVERRULES.items():
        options |= {rival: "" for rival in rivals if asked.get(flag) and not asked.get(rival)}
    options["port"] = whole_number("port", options["port"])
    options["nodes"] = whole_number("nodes", options.get("nodes") or 1)
    options["gpus"] = str(options["gpus"])
    return plan_inputs.plan_of(**options)


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
    from launch.recipes.repository import builtin_shapes

    readable, broken = book.read(book.first_folder_names())
    shapes = builtin_shapes()
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
