"""What a plan adds for vLLM's CPU backend: eager mode, and a KV cache that the memory can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errors import Refused
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.from_config import recipe_from
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from launch.weights.checkpoint import from_folder
from tests.unit.launch.checkpoints import GIB, LLAMA, write_model
from tests.unit.launch.plan_builders import TINY, command, host
from tests.unit.launch.plan_builders import plan as plan_of_recipe

SPACE = "VLLM_CPU_KVCACHE_SPACE"


def plan(folder: Path, gpus: int = 1, facts: dict[str, Any] | None = None, **options: Any) -> Plan:
    machine = host("cpu", gpus, **(facts or {}))
    recipe = recipe_from(from_folder(str(folder)))
    return make_plan(PlanOptions(str(folder), **options), machine, recipe, image_for("cpu", "0.32.0"))


def space(made: Plan) -> str:
    return dict(made.environment(made.processes[0]))[SPACE]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "llama", {**LLAMA, "max_position_embeddings": 8192}, weights=2 * GIB)


def test_eager_mode_is_the_default_and_is_noted(folder: Path) -> None:
    made = plan(folder)
    assert "--enforce-eager" in command(made)
    assert any("eager mode is the default on CPU" in note for note in made.notes)


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        (("--enforce-eager", "false"), "--no-enforce-eager"),
        (("--compilation-config", '{"mode": 0}'), "--compilation-config"),
    ],
)
def test_the_user_may_choose_to_compile(folder: Path, setting: tuple[str, str], flag: str) -> None:
    made = plan(folder, settings=(setting,))
    assert flag in command(made)
    assert " --enforce-eager" not in command(made)


def test_a_recipe_that_sets_both_is_not_changed() -> None:
    made = plan_of_recipe(TINY, "cpu")
    assert command(made).count("--enforce-eager") == 1
    assert space(made) == "1"
    assert not any("eager" in note for note in made.notes)


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        ({}, "4"),
        ({"ram_gib": 64.0}, "4"),
        ({"ram_gib": 7.0}, "3"),
        ({"ram_gib": 64.0, "limit_gib": 7.0}, "1"),
        ({"ram_gib": 64.0, "limit_gib": 3.0}, "1"),
    ],
)
def test_the_kv_cache_is_as_large_as_the_memory_allows(
    folder: Path, facts: dict[str, Any], size: str
) -> None:
    made = plan(folder, facts=facts)
    assert space(made) == size
    per_token = 32 * 2 * 8 * 128 * 2
    assert made.fit.kv_tokens == int(size) * GIB // per_token // 128 * 128


def test_each_rank_has_a_kv_cache(folder: Path) -> None:
    assert space(plan(folder, gpus=2, facts={"ram_gib": 10.0})) == "3"


def test_a_limit_below_the_estimate_is_noted(folder: Path) -> None:
    made = plan(folder, facts={"ram_gib": 64.0, "limit_gib": 3.0})
    assert any("--memory is 3.0 GiB, and the estimate is 5.0 GiB" in note for note in made.notes)


def test_a_model_larger_than_the_memory_is_refused(folder: Path) -> None:
    with pytest.raises(Refused, match=r"needs 5\.0 GiB of memory, but this host has 4\.0"):
        plan(folder, facts={"ram_gib": 4.0})


def test_a_kv_cache_larger_than_the_memory_is_refused(folder: Path) -> None:
    with pytest.raises(Refused, match=r"this host has 16\.0") as refusal:
        plan(folder, facts={"ram_gib": 16.0}, env=((SPACE, "40"),))
    assert refusal.value.fix == f"--env {SPACE}=1"


def test_a_size_in_bytes_replaces_the_variable(folder: Path) -> None:
    made = plan(folder, settings=(("--kv-cache-memory-bytes", "2G"),))
    assert SPACE not in dict(made.environment(made.processes[0]))
    assert made.fit.kv_tokens == 16384


def test_a_share_has_no_effect_and_is_noted(folder: Path) -> None:
    made = plan(folder, settings=(("--gpu-memory-utilization", "0.5"),))
    assert any("--gpu-memory-utilization has no effect on CPU" in note for note in made.notes)


def test_the_context_is_what_the_kv_cache_holds(tmp_path: Path) -> None:
    """vLLM keeps one of the blocks, so a request can not have all 32,768 tokens."""
    long = write_model(tmp_path / "long", weights=2 * GIB)
    made = plan(long)
    assert "--max-model-len 28672" in command(made)
    assert (made.fit.result, made.fit.kv_tokens) == ("fits", 32768)
