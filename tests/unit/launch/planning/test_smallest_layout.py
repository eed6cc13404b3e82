"""The tensor parallel size of a model without a recipe, if the user leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.from_config import recipe_from
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from launch.weights.checkpoint import from_folder
from tests.unit.launch.checkpoints import GIB, LLAMA, write_model
from tests.unit.launch.plan_builders import host


def plan(folder: Path, hardware: str, gpus: int, **options: Any) -> Plan:
    machine = host(hardware, gpus)
    recipe = recipe_from(from_folder(str(folder)))
    return make_plan(
        PlanOptions(str(folder), **options), machine, recipe, image_for(machine.hardware.platform, "0.32.0")
    )


@pytest.mark.parametrize(
    ("weights", "hardware", "tp"),
    [(10, "h100", 1), (70, "h100", 2), (140, "h100", 4), (140, "h200", 2), (140, "mi300x", 1)],
)
def test_the_size_is_the_smallest_with_which_the_model_fits(
    tmp_path: Path, weights: int, hardware: str, tp: int
) -> None:
    assert plan(write_model(tmp_path / "m", weights=weights * GIB), hardware, 8).layout.tp == tp


def test_a_note_says_how_to_use_the_idle_gpus(tmp_path: Path) -> None:
    made = plan(write_model(tmp_path / "m"), "gb200", 4)
    note = "TP1 leaves 3 of 4 GPUs idle: the model fits; to use 4: --set --tensor-parallel-size=4"
    assert note in made.notes
    assert not any("idle" in text for text in plan(tmp_path / "m", "gb200", 1).notes)


def test_the_users_own_size_is_kept(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    assert plan(folder, "h100", 8, settings=(("--tensor-parallel-size", "8"),)).layout.tp == 8
    assert plan(folder, "h100", 8, strategy="single_node_tp").layout.tp == 8


def test_a_longer_context_may_need_more_gpus(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", weights=57 * GIB)
    assert plan(folder, "h100", 8).layout.tp == 2
    assert plan(folder, "h100", 8, max_model_len=8192).layout.tp == 1


def test_on_cpu_the_user_sets_the_number_of_ranks(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", weights=2 * GIB)
    assert [plan(folder, "cpu", ranks).layout.tp for ranks in (1, 2)] == [1, 2]


def test_a_model_whose_shape_is_not_known_uses_all_gpus(tmp_path: Path) -> None:
    unknown = {key: value for key, value in LLAMA.items() if not key.startswith("num_")}
    made = plan(write_model(tmp_path / "m", unknown), "h100", 8)
    assert (made.fit.result, made.layout.tp) == ("unknown", 8)
