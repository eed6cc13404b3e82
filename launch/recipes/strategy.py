"""Strategies: how a recipe spreads its ranks over GPUs and nodes, and the vLLM options for that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import load
from launch.recipes.schema import Env, PerHardware, Recipe, SchemaPart, Variant, Words
from launch.spec.gpu_catalog import HardwareProfile


@dataclass(frozen=True, kw_only=True)
class Strategy(SchemaPart):
    """One entry of strategies/*.yaml."""

    name: str = ""
    deploy_type: str = "single_node"
    display_name: str = ""
    parallelism: str = ""
    parallel_flag: str = "--tensor-parallel-size"
    vllm_args: Words = ()
    worker_args: Words = ()  # Slipway's addition: options of all nodes but the first
    env: Env = field(default_factory=dict)
    file: str = ""

    @property
    def multi_node(self) -> bool:
        """Return whether it spans nodes."""
        return self.deploy_type == "multi_node"


@cache
def builtin_strategies() -> dict[str, Strategy]:
    """Return Slipway's own strategies, by name."""
    rows = load(Path(__file__).with_name("strategies.yaml"), dict[str, Strategy])
    return {name: replace(row, name=name) for name, row in rows.items()}


def offered(recipe: Recipe) -> tuple[str, ...]:
    """Return the strategies that a recipe lists, then those that `strategy_hardware` supports somewhere."""
    listed = recipe.compatible_strategies
    gated = (name for name, gate in recipe.strategy_hardware.items() if "supported" in gate.values())
    return (*listed, *(name for name in gated if name not in listed))


def runs_on(recipe: Recipe, name: str, hardware: HardwareProfile) -> bool:
    """Return whether the recipe allows this strategy on this hardware (`strategy_hardware`, else its list)."""
    gate = recipe.strategy_hardware.get(name, {})
    entry = hardware.pick(gate)
    support = entry[1] if entry else gate.get("default")
    return support != "unsupported" if support is not None else name in recipe.compatible_strategies


def min_gpus(recipe: Recipe, name: str, hardware: HardwareProfile) -> int:
    """Return the fewest GPUs that `strategy_min_gpus` asks for: the largest of its limits, 0 without one."""
    limits = recipe.strategy_min_gpus
    if not isinstance(limits, dict):
        return limits or 0
    return max(_limit(limits, name), _limit(limits.get(hardware.id), name))


def _limit(limits: Any, name: str) -> int:
    if isinstance(limits, int):
        return limits
    family = name.removeprefix("single_node_").removeprefix("multi_node_")
    keys = (name, family, f"multi_node_{family}", f"single_node_{family}")
    values = (limits.get(key) for key in keys) if isinstance(limits, dict) else ()
    return next((value for value in values if isinstance(value, int)), 0)


def tp_of_one_node(recipe: Recipe, variant: Variant, hardware: HardwareProfile, gpus: int) -> tuple[int, str]:
    """Return TP of `single_node_tp` and why: declared by variant or recipe, 1 if one GPU is enough, else all."""
    override = recipe.strategy_overrides.get("single_node_tp")
    for key, declared in (("variant", variant.tp), ("strategy_overrides", override.tp if override else None)):
        size = _declared(declared, hardware)
        if size:
            return size if hardware.generation == "cpu" else min(
                size, gpus
            ), f"the recipe's {key} sets tp {size}"
    need = vram_minimum(variant, hardware)
    if need and hardware.vram_gib and need <= hardware.vram_gib:
        return 1, f"its {need:g} GB fit one GPU"
    return gpus, f"all {gpus} GPUs of a node"


def vram_minimum(variant: Variant, hardware: HardwareProfile) -> float:
    """Return the GB that the variant asks for on this hardware, 0 if it does not say."""
    value = variant.vram_minimum_gb
    if isinstance(value, dict):
        entry = hardware.pick(value)
        value = entry[1] if entry else value.get("default")
    return value or 0.0


def _declared(value: PerHardware, hardware: HardwareProfile) -> int:
    if isinstance(value, dict):
        entry = hardware.pick(value)
        return entry[1] if entry else value.get("default", 0)
    return value or 0


def single_node_args(strategy: Strategy, size: int) -> tuple[str, ...]:
    """Return the parallel options of one node."""
    return (strategy.parallel_flag, str(size))


def multi_node_args(strategy: Strategy, gpus: int, nodes: int, rank: int, local: int) -> tuple[str, ...]:
    """Return the parallel options of node `rank`. `local` is the number of data parallel ranks on a node.

    $HEAD_IP is the address of node 0. The launcher sets it.
    """
    if strategy.parallel_flag == "--data-parallel-size":
        return (*_data_parallel(gpus * nodes, gpus), *_start_rank(rank, rank * local))
    if strategy.parallelism == "tp_dp":
        return ("--tensor-parallel-size", str(gpus), *_data_parallel(nodes, 1), *_start_rank(rank, rank))
    staged = strategy.parallelism == "tp_pp"
    sizes = ("--tensor-parallel-size", str(gpus if staged else gpus * nodes))
    stages = ("--pipeline-parallel-size", str(nodes)) if staged else ()
    place = ("--nnodes", str(nodes), "--node-rank", str(rank), "--master-addr", "$HEAD_IP")
    return (*sizes, *stages, *place, *(("--headless",) if rank else ()))


def _data_parallel(size: int, local: int) -> tuple[str, ...]:
    sizes = ("--data-parallel-size", str(size), "--data-parallel-size-local", str(local))
    return (*sizes, "--data-parallel-address", "$HEAD_IP")


def _start_rank(rank: int, first: int) -> tuple[str, ...]:
    return ("--data-parallel-start-rank", str(first)) if rank else ()
