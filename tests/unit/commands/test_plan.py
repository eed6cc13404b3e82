"""`invoke plan` and `invoke recipes` as a user types them: output, exit code, one clear message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.invocation import Finished, invoke

M2 = "MiniMaxAI/MiniMax-M2"


def plan(*words: str, **env: str) -> Finished:
    return invoke("plan", *words, **env)


def test_plan_as_json_has_layout_command_and_memory() -> None:
    data = plan("--model", M2, "--hardware", "h200", "--gpus", "4", "--format", "json").json
    assert data["layout"] == {"tp": 4, "pp": 1, "dp": 1, "ep": 1, "nodes": 1}
    assert data["processes"][0]["argv"][:3] == ["vllm", "serve", M2]
    assert data["fit"]["result"] == "fits"


def test_plan_reproduces_the_rocm_example_of_the_guide() -> None:
    found = plan(
        "--model",
        M2,
        "--hardware",
        "mi300x",
        "--gpus",
        "8",
        "--access",
        "guide",
        "--image",
        f"rocm/vllm-dev@sha256:{'0' * 64}",
        "--vllm",
        "0.11.1",
        "--format",
        "docker",
    )
    assert "--group-add video --cap-add=SYS_PTRACE" in found.ok().out
    assert "VLLM_ALL2ALL_BACKEND=allgather_reducescatter vllm serve" in found.out


def test_set_and_env_accept_json_and_equals_signs() -> None:
    words = [
        "--set",
        '--compilation-config={"cudagraph_mode": "PIECEWISE", "custom_ops": ["+a=b"]}',
        "--env",
        "A=b=c",
        "--format",
        "json",
    ]
    process = plan("--hardware", "h200", "--gpus", "4", *words).json["processes"][0]
    assert '{"cudagraph_mode": "PIECEWISE", "custom_ops": ["+a=b"]}' in process["argv"]
    assert process["env"]["A"] == "b=c"


def test_plan_reads_settings_from_the_environment() -> None:
    found = plan("--gpus", "4", "--format", "json", INVOKE_SLIPWAY_HARDWARE="h20")
    assert found.json["fit"]["kv_tokens"] < 600_000


OLDER = ["--image", f"vllm/vllm-openai@sha256:{'0' * 64}", "--vllm", "0.28.0"]
REFUSALS = [
    (["--hardware", "h200", "--strategy", "single_node_tp", *OLDER], "1536/8 = 192"),
    (["--hardware", "h200", "--gpus", "9"], "--gpus 9: a node of h200 has 8 GPUs"),
    (["--hardware", "h300"], "Did you mean `h800` or `h200`"),
    (["--model", "MiniMaxAI/MiniMax-M4", "--hardware", "h200"], "Did you mean `MiniMaxAI/MiniMax-M2`"),
    (["--hardware", "h200", "--set", "--max-num-seqs"], "a value is missing"),
    (["--hardware", "h200", "--set"], "--set needs a value"),
    (
        ["--hardware", "h200", "--max-model-len", "many"],
        "--max-model-len must be a positive integer (got 'many')",
    ),
    (["--hardware", "h200", "--format", "yaml"], "unknown --format value 'yaml'"),
    (
        ["--hardware", "h200", "--port", "70000"],
        "--port must be an integer from 1 to 65535, or auto (got '70000')",
    ),
    (["--hardware", "h200", "--platform", "rocm"], "'h200' is cuda"),
    (["--platform", "tpu"], "unknown --platform value 'tpu'"),
    (["--hardware", "h200", "--recipes", "/nowhere"], "is not a folder of recipes"),
    (["--hardware", "h200", "--capabilities", "/nowhere"], "cannot read"),
]


@pytest.mark.parametrize(("words", "message"), REFUSALS, ids=[" ".join(words) for words, _ in REFUSALS])
def test_plan_refuses_a_wrong_request_with_exit_code_2(words: list[str], message: str) -> None:
    found = plan(*words)
    assert (found.code, found.out) == (2, "")
    assert message in found.err
    assert "Traceback" not in found.err


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "org"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text(
        "model: {model_id: org/good}\ncompatible_strategies: [single_node_tp]\n"
    )
    return tmp_path


def test_plan_and_recipes_read_a_folder_of_recipes(recipes: Path) -> None:
    assert (
        plan("--recipes", str(recipes), "--model", "org/good", "--hardware", "h200", "--format", "json").json[
            "model"
        ]
        == "org/good"
    )
    assert "org/good" in invoke("recipes", "--recipes", str(recipes)).ok().out


def test_plan_names_line_and_column_of_a_yaml_error(recipes: Path) -> None:
    (recipes / "models" / "org" / "bad.yaml").write_text("model:\n  model_id: [a\n  b: c\n")
    found = plan("--recipes", str(recipes), "--model", "org/bad", "--hardware", "h200")
    assert found.code == 2
    assert "org/bad.yaml, line 3, column" in found.err


def test_plan_refuses_nvfp4_on_an_a100() -> None:
    if not SHARED.is_dir():
        pytest.skip("no sample recipes next to this checkout (../shared)")
    found = plan(
        "--recipes", str(SHARED / "vllm-recipes"), "--model", M2, "--variant", "nvfp4", "--hardware", "a100"
    )
    assert found.code == 2
    assert "nvfp4 needs generation blackwell; a100 is NVIDIA ampere" in found.err


def test_recipes_renders_one_json_line_for_each_command(tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    found = invoke("recipes", "--render", str(target)).ok()
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert f"{len(rows)} commands" in found.err
    assert {row["model"] for row in rows} >= {M2, "slipway/MiniMax-M2-tiny"}


def test_recipes_lists_the_others_if_one_is_broken(recipes: Path) -> None:
    (recipes / "models" / "org" / "bad.yaml").write_text("model: 1\n")
    (recipes / "taxonomy.yaml").write_text(
        "hardware_profiles: {h200: {brand: NVIDIA, generation: hopper, gpu_count: 8}}\n"
    )
    for words in (["--render", "-"], []):
        found = invoke("recipes", "--recipes", str(recipes), *words)
        assert found.code == 2
        assert "org/good" in found.out
        assert "org/bad.yaml: model: input should be" in found.err


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (["--max-users", "4"], "--max-users needs --context", "--max-users 4 --context 32768"),
        (["--context", "4096"], "--context needs --compare or --max-users", "--max-model-len 4096"),
        (["--compare", "h200x4", "--explain", "tp"], "--compare cannot be used with --explain", ""),
        (["--compare", "h200x4", "--monitoring"], "--compare cannot be used with --monitoring", ""),
        (["--explain", "tp", "--monitoring"], "--explain cannot be used with --monitoring", ""),
        (
            ["--compare", "h200x4", "--format", "docker"],
            "--compare cannot be used with --format docker",
            "--format json",
        ),
        (["--max-users", "0", "--context", "1"], "--max-users must be an integer from 1", ""),
        (["--hardware", "h200", "--explain", "--tensor-paralel-size"], "the plan has no", ""),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], message: str, fix: str) -> None:
    done = invoke("plan", *words)
    assert done.code == 2
    assert message in done.err
    assert fix in done.err


def test_compare_prints_a_table_and_json() -> None:
    words = ("plan", "--compare", "h200x4,a100x1", "--context", "32768", "--max-users", "8")
    text = invoke(*words).ok()
    head, first, *_ = text.out.splitlines()
    assert head.endswith("USERS AT 32,768")
    assert first.endswith("smallest")
    rows = invoke(*words, "--format", "json").json["layouts"]
    assert [row["smallest"] for row in rows].count(True) == 1
    assert rows[-1]["fit"] == "refused"
    failed = invoke(*words[:-1], "1000000")
    assert (failed.code, "none of these layouts holds 1,000,000 users" in failed.err) == (1, True)
