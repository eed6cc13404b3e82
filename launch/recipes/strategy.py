"""Strategies: how a recipe's ranks are spread over GPUs and nodes, and the words that say so to vLLM."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from launch.data_file import load
from launch.recipes.checking import Env, Part, Words
from launch.recipes.schema import Recipe, Variant
from launch.spec.gpu_catalog import Hardware


class Strategy(Part):
    """One entry of strategies/*.yaml."""

    name: str = ""
    deploy_type: str = "single_node"
    display_name: str = ""
    parallelism: str = ""
    parallel_flag: str = "--tensor-parallel-size"
    vllm_args: Words = ()
    worker_args: Words = ()  # ours: what followers get and the head does not
    env: Env = Field(default_factory=dict)
    file: str = ""

    @property
    def multi(self) -> bool:
        """Whether it spans nodes."""
        return self.deploy_type == "multi_node"


@cache
def known() -> dict[str, Strategy]:
    """Our own strategies, by name."""
    rows = load(Path(__file__).with_name("strategies.yaml"), dict[str, Strategy])
    return {name: row.model_copy(update={"name": name}) for name, row in rows.items()}


def offered(recipe: Recipe) -> tuple[str, ...]:
    """The strategies that a recipe lists, and those that `strategy_hardware` opens on some hardware."""
    listed = recipe.compatible_strategies
    opened = (name for name, gate in recipe.strategy_hardware.items() if "supported" in gate.values())
    return (*listed, *(name for name in opened if name not in listed))


def runs_on(recipe: Recipe, name: str, hardware: Hardware) -> bool:
    """Whether the recipe lets this strategy run on this hardware (`strategy_hardware`, else its list)."""
    gate = recipe.strategy_hardware.get(name, {})
    found = hardware.pick(gate)
    verdict = found[1] if found else gate.get("default")
    return verdict != "unsupported" if verdict is not None else name in recipe.compatible_strategies


def min_gpus(recipe: Recipe, name: str, hardware: Hardware) -> int:
    """The fewest GPUs that `strategy_min_gpus` asks for: the strictest of its bars, 0 without one."""
    bars = recipe.strategy_min_gpus
    if not isinstance(bars, dict):
        return bars or 0
    return max(_bar(bars, name), _bar(bars.get(hardware.id), name))


def _bar(bars: Any, name: str) -> int:
    if isinstance(bars, int):
        return bars
    family = name.removeprefix("single_node_").removeprefix("multi_node_")
    keys = (name, family, f"multi_node_{family}", f"single_node_{family}")
    values = (bars.get(key) for key in keys) if isinstance(bars, dict) else ()
    return next((v for v in values if isinstance(v, int)), 0)


def tp_of_one_node(recipe: Recipe, variant: Variant, hardware: Hardware, gpus: int) -> tuple[int, str]:
    """TP of `single_node_tp` and why: the variant's, the recipe's, 1 where one GPU is enough, else all."""
    override = recipe.strategy_overrides.get("single_node_tp")
    for key, declared in (("variant", variant.tp), ("strategy_overrides", override.tp if override else None)):
        size = _declared(declared, hardware)
        if size:
            limit = size if hardware.generation == "cpu" else min(size, gpus)
            return limit, f"the recipe's {key} asks for tp {size}"
    need = vram_minimum(variant, hardware)
    if need and hardware.vram_gib and need <= hardware.vram_gib:
        return 1, f"its {need:g} GB fit one GPU"
    return gpus, f"all {gpus} GPUs of a node"


def vram_minimum(variant: Variant, hardware: Hardware) -> float:
    """GB that the variant asks for on this hardware, 0 where it does not say."""
    value = variant.vram_minimum_gb
    if isinstance(value, dict):
        found = hardware.pick(value)
        value = found[1] if found else value.get("default")
    return value or 0.0


def _declared(value: int | dict[str, int] | None, hardware: Hardware) -> int:
    if isinstance(value, dict):
        found = hardware.pick(value)
        return found[1] if found else value.get("default", 0)
    return value or 0


def single_node_words(strategy: Strategy, size: int) -> tuple[str, ...]:
    """The parallel options of one node."""
    return (strategy.parallel_flag, str(size))


def multi_node_words(strategy: Strategy, gpus: int, nodes: int, rank: int, local: int) -> tuple[str, ...]:
    """The parallel options of node `rank`. `local` is the number of data parallel ranks on a node.

    $HEAD_IP is the address of node 0: the launcher's to fill in.
    """
    if strategy.parallel_flag == "--data-parallel-size":
        return (*_data_parallel(gpus * nodes, gpus), *_start(rank, rank * local))
    if strategy.parallelism == "tp_dp":
        return ("--tensor-parallel-size", str(gpus), *_data_parallel(nodes, 1), *_start(rank, rank))
    staged = strategy.parallelism == "tp_pp"
    sizes = ("--tensor-parallel-size", str(gpus if staged else gpus * nodes))
    stages = ("--pipeline-parallel-size", str(nodes)) if staged else ()
    place = ("--nnodes", str(nodes), "--node-rank", str(rank), "--master-addr", "$HEAD_IP")
    return (*sizes, *stages, *place, *(("--headless",) if rank else ()))


def _data_parallel(size: int, local: int) -> tuple[str, ...]:
    sizes = ("--data-parallel-size", str(size), "--data-parallel-size-local", str(local))
    return (*sizes, "--data-parallel-address", "$HEAD_IP")


def _start(rank: int, first: int) -> tuple[str, ...]:
    return ("--data-parallel-start-rank", str(first)) if rank else ()
