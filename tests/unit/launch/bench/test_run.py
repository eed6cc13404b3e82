import pytest

from errors import Failed, Refused
from launch.bench import run as bench_run

# The guide, "Benchmarking" and "Step 4", word for word.
GUIDE_CUDA = """vllm bench serve --backend vllm --model MiniMaxAI/MiniMax-M2 --endpoint /v1/completions
 --dataset-name random --random-input 2048 --random-output 1024 --max-concurrency 10 --num-prompt 100"""
GUIDE_ROCM = """vllm bench serve --model MiniMaxAI/MiniMax-M2 --dataset-name random --random-input-len 8000
 --random-output-len 1000 --request-rate 10000 --num-prompts 16 --ignore-eos"""


@pytest.mark.parametrize(("preset", "words"), [("guide-cuda", GUIDE_CUDA), ("guide-rocm", GUIDE_ROCM)])
def test_a_preset_is_the_guides_command(preset, words):
    assert bench_run.command(preset, "MiniMaxAI/MiniMax-M2") == words.split()


def test_a_scale_shrinks_lengths_and_requests_and_nothing_else():
    words = " ".join(bench_run.command("guide-cuda", "m", 0.01))
    assert "--random-input 20 --random-output 10 --max-concurrency 10 --num-prompt 1" in words


def test_scaling_never_reaches_zero():
    assert bench_run.command("guide-rocm", "m", 0.0001)[-2:] == ["1", "--ignore-eos"]


def test_an_unknown_preset_is_refused():
    with pytest.raises(Refused, match="guide-cuda"):
        bench_run.command("guide-cude", "m")


def test_a_run_in_which_requests_failed_is_a_failure_though_vllm_exits_with_0():
    with pytest.raises(Failed, match="8 of 8 requests failed"):
        bench_run.judged({"completed": 0, "failed": 8, "num_prompts": 8})


def test_a_run_without_a_completed_request_is_a_failure():
    with pytest.raises(Failed):
        bench_run.judged({"completed": 0, "failed": 0, "num_prompts": 8})


def test_the_table_reads_the_keys_of_a_real_result(shared):
    import json

    rows = bench_run.table(json.loads((shared / "logs" / "bench-result.json").read_text()))
    assert "successful requests:                   8" in rows
    assert "mean TTFT:                         93.18 ms" in rows
