"""Build the commands of the presets, and read results of vLLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.bench.run import _parse_result, format_result, preset_command, require_success, save_result
from tests.conftest import ROOT

# The guide, "Benchmarking" and "Step 4".
GUIDE_CUDA = """vllm bench serve --backend vllm --model MiniMaxAI/MiniMax-M2 --endpoint /v1/completions
 --dataset-name random --random-input 2048 --random-output 1024 --max-concurrency 10 --num-prompt 100"""
GUIDE_ROCM = """vllm bench serve --model MiniMaxAI/MiniMax-M2 --dataset-name random --random-input-len 8000
 --random-output-len 1000 --request-rate 10000 --num-prompts 16 --ignore-eos"""


@pytest.mark.parametrize(("preset", "argv"), [("guide-cuda", GUIDE_CUDA), ("guide-rocm", GUIDE_ROCM)])
def test_preset_command_is_the_command_of_the_guide(preset: str, argv: str) -> None:
    assert preset_command(preset, "MiniMaxAI/MiniMax-M2") == argv.split()


def test_preset_command_scales_lengths_and_requests_only() -> None:
    argv = " ".join(preset_command("guide-cuda", "m", 0.01))
    assert "--random-input 20 --random-output 10 --max-concurrency 10 --num-prompt 1" in argv


def test_preset_command_scales_to_one_at_least() -> None:
    assert preset_command("guide-rocm", "m", 0.0001)[-2:] == ["1", "--ignore-eos"]


def test_preset_command_names_the_tokenizer_of_a_local_folder() -> None:
    argv = preset_command("guide-rocm", "mine", weights="/model")
    assert argv[-2:] == ["--tokenizer", "/model"]
    assert argv[argv.index("--model") + 1] == "mine"


def test_preset_command_refuses_an_unknown_preset() -> None:
    with pytest.raises(Refused, match="guide-cude") as refused:
        preset_command("guide-cude", "m")
    assert "guide-cuda" in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", "5", "\x00"])
def test_a_result_that_is_not_a_json_object_is_one_clear_error(text: str) -> None:
    with pytest.raises(Failed, match="the result of vllm bench serve is not"):
        _parse_result(text)


def test_require_success_fails_if_requests_failed() -> None:
    with pytest.raises(Failed, match="8 of 8 requests failed"):
        require_success({"completed": 0, "failed": 8, "num_prompts": 8})


def test_require_success_fails_if_no_request_completed() -> None:
    with pytest.raises(Failed, match="no request completed"):
        require_success({"completed": 0, "failed": 0, "num_prompts": 8})


def test_format_result_reads_a_recorded_result() -> None:
    lines = format_result(json.loads((ROOT / "tests" / "data" / "bench-result.json").read_text()))
    assert "successful requests:                   8" in lines
    assert "mean TTFT:                         93.18 ms" in lines


def test_save_result_writes_result_and_facts(tmp_path: Path) -> None:
    result = {"date": "20261123-022828", "completed": 8}
    facts = {"preset": "guide-cuda", "server": "replica-1"}
    path = save_result(result, facts, tmp_path)
    assert path == tmp_path / "20261123-022828-guide-cuda.json"
    assert json.loads(path.read_text()) == {"slipway": facts, "result": result}


def test_save_result_keeps_the_result_of_another_server(tmp_path: Path) -> None:
    result = {"date": "20261123-022828", "completed": 8}
    paths = {save_result(result, {"preset": "p", "server": name}, tmp_path) for name in ("one", "two")}
    assert len(paths) == len(list(tmp_path.iterdir())) == 2


def test_preset_command_names_the_tokenizer_of_the_served_commit() -> None:
    argv = preset_command("guide-cuda", "org/m", commit="a" * 40)
    assert argv[-2:] == ["--tokenizer", f"/hub/models--org--m/snapshots/{'a' * 40}"]
