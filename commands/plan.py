"""`invoke plan` and `invoke recipes`: what would run, and why."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.verb import one_of, pairs, setting, verb
from commands.terminal import emit, say
from errors import Failed, Refused, choice

if TYPE_CHECKING:
    from launch.cookbook import Cookbook
    from launch.gpus import Hardware
    from launch.plan import Plan
    from launch.recipe import Recipe
    from launch.request import Contract, Image, Wish

FORMATS = ("table", "docker", "compose", "quadlet", "kubernetes", "json")
PLATFORMS = ("cuda", "rocm", "cpu")
MODEL = "MiniMaxAI/MiniMax-M2"

HELP = {
    "model": "recipe or checkpoint, org/name",
    "hardware": "GPU to plan for (h200, mi300x, ...) instead of this machine's",
    "platform": "cuda, rocm or cpu",
    "gpus": "GPUs to use on each node; ranks on cpu (default: all of the node)",
    "nodes": "machines (default 1)",
    "strategy": "how ranks are laid out; the recipe lists its own",
    "variant": "another checkpoint of the recipe",
    "feature": "switch a feature on, NAME or NAME=MODE; may be repeated",
    "no-feature": "switch a feature off; may be repeated",
    "responses-api": "the parser that the Responses API wants",
    "cure": "options against a known symptom; may be repeated",
    "max-model-len": "longest context in tokens",
    "set": "--set --flag=value: an option of vllm serve; may be repeated",
    "env": "NAME=VALUE for the server; may be repeated",
    "vllm": "vLLM version to plan for",
    "image": "image to run instead of the platform's",
    "contract": "JSON file with what the image's vLLM accepts",
    "access": "least, guide, profiling or rdma",
    "port": "port on this machine (default 8000)",
    "recipes": "a folder in the layout of vllm-project/recipes",
    "format": "table, docker, compose, quadlet, kubernetes or json",
}


@verb(help=HELP, iterable=["feature", "no_feature", "cure", "set_", "env"])
def plan(
    c: Any,
    model: str = "",
    hardware: str = "",
    platform: str = "",
    gpus: int = 0,
    nodes: int = 1,
    strategy: str = "",
    variant: str = "",
    feature: list[str] | None = None,
    no_feature: list[str] | None = None,
    responses_api: bool = False,
    cure: list[str] | None = None,
    max_model_len: str = "",
    set_: list[str] | None = None,
    env: list[str] | None = None,
    vllm: str = "",
    image: str = "",
    contract: str = "",
    access: str = "least",
    port: int = 8000,
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
    defaults = {"model": MODEL, "hardware": "", "platform": "", "vllm": "", "recipes": ""}
    options |= {name: setting(c, name, options.get(name, "")) or given for name, given in defaults.items()}
    asks = inspect.signature(wish_of).parameters
    wish = wish_of(**{name: value for name, value in options.items() if name in asks})
    return plan_of(wish, **{name: value for name, value in options.items() if name not in asks})


def wish_of(
    *,
    model: str,
    strategy: str = "",
    variant: str = "",
    feature: Sequence[str] | None = None,
    no_feature: Sequence[str] | None = None,
    responses_api: bool = False,
    cure: Sequence[str] | None = None,
    max_model_len: str = "",
    set_: Sequence[str] | None = None,
    env: Sequence[str] | None = None,
    access: str = "least",
    port: int = 8000,
) -> Wish:
    """The words of a command line as a wish. Raises Refused for a word that is none."""
    from launch.request import Wish

    if not 0 < port < 65536:
        raise Refused(f"--port {port}: a port is between 1 and 65535")
    return Wish(
        model=model,
        strategy=strategy,
        variant=variant,
        features=tuple((word.partition("=")[0], word.partition("=")[2]) for word in feature or ()),
        without=tuple(no_feature or ()),
        responses_api=responses_api,
        cures=tuple(cure or ()),
        max_model_len=_tokens(max_model_len),
        settings=pairs("--set", list(set_ or ())),
        env=pairs("--env", list(env or ())),
        access=access,
        port=port,
    )


def _tokens(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise Refused(f"--max-model-len {text}: a number of tokens is wanted", fix="--max-model-len 32768")
    return int(text)


def plan_of(
    wish: Wish,
    *,
    hardware: str = "",
    platform: str = "",
    gpus: int = 0,
    nodes: int = 1,
    vllm: str = "",
    image: str = "",
    contract: Contract | None = None,
    recipes: str = "",
) -> Plan:
    """The plan of a wish on this machine or on the named hardware."""
    from launch.cookbook import checkpoints, known_shapes, open_cookbook
    from launch.host import gather
    from launch.planner import make_plan

    book = open_cookbook(recipes)
    machine = machine_of(book, hardware, platform)
    recipe = book.recipe(wish.model)
    host = gather(machine, gpus or machine.per_node or 1, nodes, checkpoints(recipe), known_shapes())
    own = None if vllm or image or contract else built(machine.platform)
    chosen = own or image_for(machine.platform, vllm, image, _contract(contract))
    return make_plan(wish, host, recipe, chosen, book.strategies)


def built(platform: str) -> Image | None:
    """Our own image of that platform with its contract, where an engine is here and has it."""
    from dataclasses import asdict

    from errors import SlipwayError
    from images import contract
    from images.build import ENTRYPOINT, reference
    from launch.engine import connect
    from launch.request import Contract, Image

    tag = reference(platform)
    try:
        found = contract.of(connect(), tag)
    except SlipwayError:
        return None
    return Image(tag, found.vllm_version, ENTRYPOINT, Contract.of(asdict(found))) if found else None


def image_of(
    wish: Wish, recipe: Recipe, machine: Hardware, vllm: str, image: str, contract: Contract | None
) -> Image:
    """The named image; else what the recipe pins, on CPU what the lock stands for, else upstream's of that version."""
    from launch.recipe_image import asked_for, version_of
    from launch.selection import variant_of
    from launch.synthesis import NO_VARIANT
    from launch.versions import image_for

    if not image and not vllm:
        variant = recipe.variants.get(variant_of(wish, recipe), NO_VARIANT)
        image = asked_for(recipe, variant, machine)
    if not image and machine.platform == "cpu":
        image, vllm = _locked("cpu", vllm)
    return image_for(machine.platform, vllm or version_of(image), image, contract)


def _locked(platform: str, vllm: str) -> tuple[str, str]:
    """The image that `invoke build` makes from the lock, where it has the wished version."""
    from images.build import reference
    from images.lock import load

    version = load().platform(platform).vllm.version
    return (reference(platform), version) if vllm in ("", version) else ("", vllm)


def machine_of(book: Cookbook, hardware: str, platform: str) -> Hardware:
    """The hardware to plan for. Raises Refused for an unknown one, and where none is named or found."""
    if platform:
        one_of("platform", platform, PLATFORMS)
    if not hardware and platform == "cpu":
        hardware = "cpu"
    if not hardware:
        fix = "--hardware h200 --gpus 4, or --platform cpu"
        raise Refused("no hardware to plan for", why="no GPU of this machine is known", fix=fix)
    if hardware not in book.hardware:
        raise choice("hardware", hardware, tuple(book.hardware))
    found = book.hardware[hardware]
    if platform and found.platform != platform:
        raise Refused(f"{hardware} is {found.platform}, not {platform}", fix=f"--platform {found.platform}")
    return found


def _contract(path: str) -> Contract | None:
    import json
    from pathlib import Path

    from launch.request import Contract

    if not path:
        return None
    try:
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"--contract {path}: cannot be read", why=str(error)) from error
    if not isinstance(data, dict):
        raise Refused(f"--contract {path}: not a JSON object")
    return Contract.of(data)


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
    from launch.cookbook import open_cookbook

    one_of("format", format, ("table", "json"))
    book = open_cookbook(setting(c, "recipes", recipes))
    if render:
        _render_all(book, render, vllm)
        return
    found = [_about(book.recipe(name)) for name in book.names()]
    if format == "json":
        emit(found)
        return
    for row in found:
        print(f"{row['model']:<52} {row['parameters']:>8}  {', '.join(row['strategies'])}")


def _about(recipe: Recipe) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "parameters": recipe.model.parameter_count or "-",
        "variants": list(recipe.variants) or ["default"],
        "strategies": list(recipe.compatible_strategies),
        "features": list(recipe.features),
    }


def _render_all(book: Cookbook, target: str, vllm: str) -> None:
    """Rows to a file, and how many of each kind to stderr."""
    import json
    from pathlib import Path

    from launch.catalogue import rows
    from launch.cookbook import known_shapes

    found = list(rows(book, known_shapes(), vllm))
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
