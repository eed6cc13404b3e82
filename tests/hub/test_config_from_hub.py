"""Plan a model that is only on the Hub: some small files are read, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.operations.find_recipe import find_recipe
from launch.operations.plan_inputs import plan_of
from launch.recipes.from_config import ConfigRecipe
from launch.spec.plan_options import PlanOptions
from tests.hub.faults import Fault, serve_folder
from tests.invocation import invoke
from tests.unit.launch.checkpoints import LLAMA, write_model
from tests.unit.launch.plan_builders import builtin_repository

MODEL = "harbour/tug"
MIB = 1 << 20
GATED = (("X-Error-Code", "GatedRepo"),)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MODEL, to serve; the cache is empty."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    write_model(tmp_path / "served" / MODEL, template="{{ messages }}", weights=20 * MIB)
    return tmp_path / "served"


def test_a_plan_reads_small_files_only_and_writes_nothing(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_folder(served) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        made = plan_of(PlanOptions(MODEL, hardware="h100", gpus="2"))
        read = [request.path for request in hub.requests if "/resolve/" in request.path]
    assert made.processes[0].argv[2] == MODEL
    assert "0.0 GiB weights" in made.fit.detail
    assert any(f"planned from config.json of {hub.url}" in note for note in made.notes)
    assert {path.rpartition("/")[2] for path in read} == {"config.json", "tokenizer_config.json"}
    assert not (tmp_path / "cache").exists()


def test_the_size_of_the_weights_is_that_of_the_listing(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_folder(served) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        recipe = find_recipe(builtin_repository(), MODEL).recipe
    assert isinstance(recipe, ConfigRecipe) and recipe.extension.shape
    size = (served / MODEL / "model.safetensors").stat().st_size
    assert recipe.extension.shape.weight_bytes == size


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": "<html>"}, "an HTML page"),
        ({"config.json": ""}, "it is empty"),
        ({"config.json": json.dumps({**LLAMA, "architectures": ["BertModel"]})}, "does not generate text"),
        ({"config.json": " " * (17 * MIB)}, "Slipway reads up to"),
    ],
)
def test_a_model_that_cannot_be_planned_is_one_message(
    served: Path, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (served / MODEL / name).write_text(text)
    with serve_folder(served) as hub:
        done = invoke(
            "plan", MODEL, "--hardware", "h100", HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(tmp_path / "cache")
        )
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "cache").exists()


def test_a_model_with_only_gguf_files_is_refused(served: Path, tmp_path: Path) -> None:
    for path in (served / MODEL).iterdir():
        path.unlink()
    (served / MODEL / "tug-Q4_K_M.gguf").write_text("GGUF")
    with serve_folder(served) as hub:
        done = invoke(
            "plan", MODEL, "--hardware", "h100", HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(tmp_path / "cache")
        )
    assert done.code == 2
    assert "has only GGUF files" in done.err


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", "info", status=403, headers=GATED), "is gated"),
        (Fault("status", "info", status=401), "does not exist, or it is private"),
    ],
)
def test_a_gated_or_missing_model_says_so(
    served: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, message: str
) -> None:
    with serve_folder(served, faults=(fault,)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(SlipwayError, match=f"unknown model '{MODEL}'") as refusal:
            find_recipe(builtin_repository(), MODEL)
    assert message in refusal.value.why


def test_a_config_that_is_not_the_listed_one_is_not_used(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_folder(served, faults=(Fault("flip", "resolve", match="*config.json"),)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(SlipwayError) as refusal:
            find_recipe(builtin_repository(), MODEL)
    assert "config.json is not the listed one" in refusal.value.why
