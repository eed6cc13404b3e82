"""A plan in one line, for tests: our own recipes, a host that is nobody's, versions by name."""

from __future__ import annotations

from functools import cache
from typing import Any

from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.repository import RecipeRepository, open_repository
from launch.recipes.schema import Recipe
from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import known
from launch.spec.inputs import Host, PlanOptions
from launch.spec.model_config import Shape
from launch.spec.plan import Plan

M2, M21, TINY = "MiniMaxAI/MiniMax-M2", "MiniMaxAI/MiniMax-M2.1", "slipway/MiniMax-M2-tiny"


@cache
def ours() -> RecipeRepository:
    return open_repository()


@cache
def recipe(name: str) -> Recipe:
    return ours().recipe(name)


def m2_shape() -> Shape:
    found = recipe(M2).ours.shape
    assert found is not None
    return found


def host(hardware: str = "h200", gpus: int = 0, nodes: int = 1, **facts: Any) -> Host:
    machine = known()[hardware]
    caller = {
        "uid": 1000,
        "gid": 1000,
        "hub_cache": "/home/me/hub",
        "cache": "/home/me/slipway",
        "folder": "/home/me/work",
    }
    return Host(machine, gpus or machine.per_node or 1, nodes, **{**caller, **facts})


def plan(
    model: str = M2,
    hardware: str = "h200",
    gpus: int = 0,
    nodes: int = 1,
    vllm: str = "0.32.0",
    capabilities: Capabilities | None = None,
    image: str = "",
    facts: dict[str, Any] | None = None,
    **options: Any,
) -> Plan:
    machine = host(hardware, gpus, nodes, **(facts or {}))
    chosen = image_for(machine.hardware.platform, vllm, image, capabilities)
    return make_plan(PlanOptions(model, **options), machine, recipe(model), chosen)


def command(made: Plan, rank: int = 0) -> str:
    return " ".join(made.processes[rank].argv)


def why(made: Plan, item: str) -> str:
    return next(f"{reason.why} [{reason.source}]" for reason in made.reasons if reason.item.startswith(item))
