"""`invoke plan` and `invoke recipes`: what would run, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.verb import one_of, pairs, setting, verb
from errors import Refused, choice

if TYPE_CHECKING:
    from launch.cookbook import Cookbook
    from launch.gpus import Hardware
    from launch.plan import Plan
    from launch.request import Contract, Wish

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
    from launch.render import render

    one_of("format", format, FORMATS)
    wish = wish_of(
        model=setting(c, "model", model) or MODEL,
        strategy=strategy,
        variant=variant,
        feature=feature,
        no_feature=no_feature,
        responses_api=responses_api,
        cure=cure,
        max_model_len=max_model_len,
        set_=set_,
        env=env,
        access=access,
        port=port,
    )
    found = plan_of(
        wish,
        hardware=setting(c, "hardware", hardware),
        platform=setting(c, "platform", platform),
        gpus=gpus,
        nodes=nodes,
        vllm=setting(c, "vllm", vllm),
        image=setting(c, "image", image),
        contract=contract,
        recipes=setting(c, "recipes", recipes),
    )
    print(render(found, format))


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
    contract: str = "",
    recipes: str = "",
) -> Plan:
    """The plan of a wish on this machine or on the named hardware."""
    from launch.cookbook import checkpoints, known_shapes, open_cookbook
    from launch.host import gather
    from launch.planner import make_plan
    from launch.versions import image_for

    book = open_cookbook(recipes)
    machine = machine_of(book, hardware, platform)
    recipe = book.recipe(wish.model)
    host = gather(machine, gpus or machine.per_node or 1, nodes, checkpoints(recipe), known_shapes())
    chosen = image_for(machine.platform, vllm, image, _contract(contract))
    return make_plan(wish, host, recipe, chosen, book.strategies)


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
