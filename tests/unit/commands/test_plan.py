"""`invoke plan` and `invoke recipes` as a user types them: output, exit status, one clear message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.invocation import Finished, invoke

M2 = "MiniMaxAI/MiniMax-M2"


def plan(*words: str, **env: str) -> Finished:
    return invoke("plan", *words, **env)


def test_json_is_the_public_format():
    data = plan("--model", M2, "--hardware", "h200", "--gpus", "4", "--format", "json").json
    assert data["layout"] == {"tp": 4, "pp": 1, "dp": 1, "ep": 1, "nodes": 1}
    assert data["processes"][0]["argv"][:3] == ["vllm", "serve", M2]
    assert data["fit"]["verdict"] == "fits"


def test_the_guides_rocm_example():
    said = plan(
        "--model",
        M2,
        "--hardware",
        "mi300x",
        "--gpus",
        "8",
        "--access",
        "guide",
        "--vllm",
        "0.11.1",
        "--format",
        "docker",
    )
    assert "--group-add video --cap-add=SYS_PTRACE" in said.ok().out
    assert "VLLM_ALL2ALL_BACKEND=allgather_reducescatter vllm serve" in said.out


def test_values_with_json_and_equals_signs_pass_the_command_line():
    words = [
        "--set",
        '--compilation-config={"cudagraph_mode": "PIECEWISE", "x": "a=b"}',
        "--env",
        "A=b=c",
        "--format",
        "json",
    ]
    process = plan("--hardware", "h200", "--gpus", "4", *words).json["processes"][0]
    assert '{"cudagraph_mode": "PIECEWISE", "x": "a=b"}' in process["argv"]
    assert process["env"]["A"] == "b=c"


def test_settings_come_from_the_environment_too():
    said = plan("--gpus", "4", "--format", "json", INVOKE_SLIPWAY_HARDWARE="h20")
    assert said.json["fit"]["kv_tokens"] < 600_000


REFUSALS = [
    (["--hardware", "h200", "--strategy", "single_node_tp", "--vllm", "0.28.0"], "1536/8 = 192"),
    (["--hardware", "h200", "--gpus", "9"], "9 GPUs asked for"),
    (["--hardware", "h300"], "Did you mean `h800` or `h200`"),
    (["--model", "MiniMaxAI/MiniMax-M4", "--hardware", "h200"], "Did you mean `MiniMaxAI/MiniMax-M2`"),
    (["--hardware", "h200", "--set", "--max-num-seqs"], "a value is missing"),
    (["--hardware", "h200", "--set"], "--set needs a value"),
    (
        ["--hardware", "h200", "--max-model-len", "many"],
        "--max-model-len must be a positive integer (got 'many')",
    ),
    (["--hardware", "h200", "--format", "yaml"], "unknown --format value 'yaml'"),
    (["--hardware", "h200", "--port", "70000"], "--port must be an integer from 1 to 65535 (got '70000')"),
    (["--hardware", "h200", "--platform", "rocm"], "'h200' is cuda"),
    (["--platform", "tpu"], "unknown --platform value 'tpu'"),
    (["--hardware", "h200", "--recipes", "/nowhere"], "holds no recipes"),
    (["--hardware", "h200", "--capabilities", "/nowhere"], "cannot read"),
]


@pytest.mark.parametrize(("words", "message"), REFUSALS, ids=[" ".join(words) for words, _ in REFUSALS])
def test_a_wrong_request_ends_with_2_and_one_message(words, message):
    said = plan(*words)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert "Traceback" not in said.err


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "org"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text(
        "model: {model_id: org/good}\ncompatible_strategies: [single_node_tp]\n"
    )
    return tmp_path


def test_a_folder_of_recipes(shelf):
    assert (
        plan("--recipes", str(shelf), "--model", "org/good", "--hardware", "h200", "--format", "json").json[
            "model"
        ]
        == "org/good"
    )
    assert "org/good" in invoke("recipes", "--recipes", str(shelf)).ok().out


def test_a_recipe_with_a_yaml_error_is_named_with_line_and_column(shelf):
    (shelf / "models" / "org" / "bad.yaml").write_text("model:\n  model_id: [a\n  b: c\n")
    said = plan("--recipes", str(shelf), "--model", "org/bad", "--hardware", "h200")
    assert said.code == 2
    assert "org/bad.yaml, line 3, column" in said.err


def test_nvfp4_does_not_run_on_an_a100():
    if not SHARED.is_dir():
        pytest.skip("the sample recipes are not beside this repository")
    said = plan(
        "--recipes", str(SHARED / "vllm-recipes"), "--model", M2, "--variant", "nvfp4", "--hardware", "a100"
    )
    assert said.code == 2
    assert "nvfp4 needs generation blackwell; a100 is NVIDIA ampere" in said.err


def test_recipes_are_rendered_line_by_line(tmp_path):
    target = tmp_path / "rows.jsonl"
    said = invoke("recipes", "--render", str(target)).ok()
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert f"{len(rows)} commands" in said.err
    assert {row["model"] for row in rows} >= {M2, "slipway/MiniMax-M2-tiny"}


def test_one_broken_recipe_does_not_hide_the_others(shelf):
    (shelf / "models" / "org" / "bad.yaml").write_text("model: 1\n")
    (shelf / "taxonomy.yaml").write_text(
        "hardware_profiles: {h200: {brand: NVIDIA, generation: hopper, gpu_count: 8}}\n"
    )
    for words in (["--render", "-"], []):
        said = invoke("recipes", "--recipes", str(shelf), *words)
        assert said.code == 2
        assert "org/good" in said.out
        assert "org/bad.yaml: model: input should be" in said.err
