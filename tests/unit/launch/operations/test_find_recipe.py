"""A model is looked for in the recipes, then in the cache; a path is a local folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Refused
from launch.operations.find_recipe import find_recipe, is_path
from launch.operations.plan_inputs import plan_of
from launch.recipes.from_config import ConfigRecipe
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.checkpoints import write_model
from tests.unit.launch.plan_builders import M2, builtin_repository
from tests.unit.launch.weights.test_checkpoint import snapshot


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_recipe_wins(tmp_path: Path) -> None:
    assert not isinstance(find_recipe(builtin_repository(), M2).recipe, ConfigRecipe)


def test_a_snapshot_in_the_cache_is_planned(tmp_path: Path) -> None:
    snapshot(tmp_path / "hub")
    made = plan_of(PlanOptions("org/name", hardware="h100", gpus="1"))
    assert made.processes[0].argv[:3] == ("vllm", "serve", "org/name")
    assert made.local_folder == ""
    note = "no recipe for org/name: planned from config.json of snapshot"
    assert any(text.startswith(note) for text in made.notes)


def test_a_local_folder_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert plan_of(PlanOptions("./mine", hardware="h100", gpus="1")).local_folder == str(folder)


@pytest.mark.parametrize(
    ("model", "path"),
    [("./x", True), ("/x", True), ("~/x", True), ("..", True), ("a/b", False), (".x", False)],
)
def test_is_path(model: str, path: bool) -> None:
    assert is_path(model) == path


def test_an_unknown_model_offline_is_refused_with_both_reasons() -> None:
    with pytest.raises(Refused, match="unknown model 'Qwen/Qwen3-8B'") as refusal:
        find_recipe(builtin_repository(), "Qwen/Qwen3-8B")
    assert "no recipe is for it" in refusal.value.why
    assert "HF_HUB_OFFLINE" in refusal.value.why


def test_a_folder_without_a_dot_gets_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as refusal:
        find_recipe(builtin_repository(), "models/mine")
    assert refusal.value.fix == "for the folder, write ./models/mine"


@pytest.mark.parametrize("model", ["build", "", "a/b/c", "a/..", "a b/c", "a/b\n"])
def test_a_name_that_cannot_be_a_model_is_refused_without_asking_a_hub(model: str) -> None:
    with pytest.raises(Refused, match="unknown model"):
        find_recipe(builtin_repository(), model)
