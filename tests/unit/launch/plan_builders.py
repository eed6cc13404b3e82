"""Build plans for tests from the built-in recipes, a fictitious host and vLLM versions."""

from __future__ import annotations

from functools import cache
from typing import Any

from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.repository import RecipeRepository, open_repository
from launch.recipes.schema import Recipe
from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import catalog
from launch.spec.inputs import Host, Image
from launch.spec.model_config import ModelShape
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions

M2, M21, TINY = "MiniMaxAI/MiniMax-M2", "MiniMaxAI/MiniMax-M2.1", "slipway/MiniMax-M2-tiny"


@cache
def builtin_repository() -> RecipeRepository:
    return open_repository()


@cache
def recipe(name: str) -> Recipe:
    return builtin_repository().recipe(name)


def m2_shape() -> ModelShape:
    shape = recipe(M2).extension.shape
    assert shape is not None
    return shape


def host(hardware: str = "h200", gpus: int = 0, nodes: int = 1, **facts: Any) -> Host:
    profile = catalog()[hardware]
    caller = {
        "uid": 1000,
        "gid": 1000,
        "hub_cache": "/home/me/hub",
        "cache": "/home/me/slipway",
        "folder": "/home/me/work",
    }
    return Host(profile, gpus or profile.per_node or 1, nodes, **{**caller, **facts})


def plan(
    model: str = M2,
    hardware: str = "h200",
    gpus: int = 0,
    nodes: int = 1,
    vllm: str = "0.32.0",
    capabilities: Capabilities | None = None,
    image: str = "",
    locked: Image | None = None,
    facts: dict[str, Any] | None = None,
    **options: Any,
) -> Plan:
    machine = host(hardware, gpus, nodes, **(facts or {}))
    chosen = locked or image_for(machine.hardware.platform, vllm, image, capabilities)
    return make_plan(PlanOptions(model, **options), machine, recipe(model), chosen)


def command(made: Plan, rank: int = 0) -> str:
    return " ".join(made.processes[rank].argv)


def why(made: Plan, item: str) -> str:
    return next(f"{reason.why} [{reason.source}]" for reason in made.reasons if reason.item.startswith(item))
