"""Further wrong and odd requests of `plan`: one clear message with exit code 2, or a plan that is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.planning.user_limits import merged
from tests.unit.commands.test_odd_requests import H200, LONG, Request, assert_refused, plan


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))


SETTINGS: dict[str, str] = {
    # numbers
    "--max-model-len=1e5": "auto or an integer",
    "--max-model-len=128 k": "auto or an integer",
    "--max-model-len=４096": "auto or an integer",
    "--max-num-seqs=1k": "must be a positive integer (got '1k')",
    "--max-num-batched-tokens=-1": "at least 1 (got '-1')",
    "--gpu-memory-utilization=90%": "greater than 0 and at most 1 (got '90%')",
    "--gpu-memory-utilization=0,9": "greater than 0 and at most 1 (got '0,9')",
    "--gpu-memory-utilization=1e-9": "which can use 0.0 of",
    "--gpu-memory-utilization=-0.0": "greater than 0",
    "--seed=1.0": "must be an integer",
    "--seed=-1": "must be from 0 to 4294967295 (got '-1')",
    "--seed=4294967296": "must be from 0 to 4294967295",
    "--max-num-seqs=99999999999999999999": "does not fit",
    "--kv-cache-memory-bytes=1": "does not fit",
    "--kv-cache-memory-bytes=999T": "does not fit",
    "--pipeline-parallel-size=3": "= 12 GPUs, but 1 node of 4 have 4",
    "--decode-context-parallel-size=3": "not a whole number",
    "--api-server-count=0": "must be a positive integer (got '0')",
    "--api-server-count=-1": "vLLM does not answer",
    # words
    "--Max-Num-Seqs=1": "Did you mean `--max-num-seqs`",
    "---max-num-seqs=1": "is not a vLLM flag",
    "--max-num-seqs==1": "(got '=1')",
    "--max-num-seqs=1;rm -rf /": "must be a positive integer",
    "--dtype=FP8": "has no choice 'FP8'",
    "--dtype= bfloat16": "Did you mean `bfloat16`",
    "--tokenizer-mode=mistrall": "Did you mean `mistral`",
    "--uvicorn-log-level=loud": "choose from critical, debug",
    "--trust-remote-code=yes": "takes no value",
    "--revision=main": "next: --revision main",
    "--nnodes=2": "next: --nodes NUMBER",
    "--node-rank=1": "next: --nodes NUMBER",
    "--master-addr=10.0.0.1": "--set --master-addr cannot be used",
    "--cudagraph-capture-sizes=1 2 4": "must be an integer",
    f"--served-model-name={'x' * 131_072}": "131,072 bytes or more",
    # JSON
    "--compilation-config=null": "must be a JSON object",
    '--compilation-config={"mode":NaN}': "must be integer (got NaN)",
    '--compilation-config={"":1}': "has no key ''",
    "--compilation-config={'mode':3}": "is not valid JSON",
    '--compilation-config={"mode":3},': "is not valid JSON (Extra data",
    "--compilation-config..mode=3": "has no key ''",
    "-O=9": "choose from 0, 1, 2, 3",
    '--speculative-config={"method":"mtp","num_speculative_tokens":-1}': "greater than 0",
    '--kv-transfer-config={"kv_connector":1}': "must be string (got 1)",
    "--hf-overrides=[]": "must be a JSON object",
    '--hf-overrides={"max_position_embeddings":-1}': "must be a positive integer (got -1)",
    '--hf-overrides={"max_position_embeddings":"x"}': "must be a positive integer",
    '--hf-overrides={"num_hidden_layers":true}': "must be a positive integer (got true)",
    '--hf-overrides={"text_config":{"head_dim":0}}': "'head_dim' must be a positive integer (got 0)",
    '--hf-overrides={"rope_scaling":3}': "'rope_scaling' must be a JSON object",
    f'--hf-overrides={{"x":{LONG}}}': "is not valid JSON",
}
VARIABLES: dict[str, str] = {
    " A=1": "is not the name of a variable",
    "A.B=1": "is not the name of a variable",
    "A=\n": "control character",
    "A=\x1b[2J": "control character",
    "A": "a value is missing",
    "CUDA_VISIBLE_DEVICES=0": "next: --gpus 0,2",
    "HIP_VISIBLE_DEVICES=9": "next: --gpus 0,2",
    "VLLM_API_KEY=secret": "next: --listen ADDRESS",
    "vllm_use_deep_gemm=1": "Did you mean `VLLM_USE_DEEP_GEMM`",
    "VLLM_PORT=70000": "an integer from 0 to 65535 (got '70000')",
    "VLLM_PORT=-1": "an integer from 0 to 65535",
    f"A={'x' * 131_072}": "131,072 bytes or more",
}
REQUESTS: dict[Request, str] = {
    (
        "--set",
        "--max-num-batched-tokens=100",
        "--set",
        "--max-num-seqs=200",
    ): "next: --set --max-num-seqs=100",
    (
        "--set",
        '--compilation-config={"mode":3}',
        "--set",
        "--compilation-config.mode=0",
    ): """next: --set --compilation-config='{"mode": 0}'""",
    (
        "--set",
        "--compilation-config.mode=0",
        "--set",
        '--compilation-config={"backend":"eager"}',
    ): """next: --set --compilation-config='{"backend": "eager", "mode": 0}'""",
    ("--recipes", "/"): "has no subfolder `models`",
    ("--lock", "/etc/passwd"): "is not a valid lock",
    ("--capabilities", "/etc/passwd"): "cannot read the capabilities file",
    ("--name", "../x"): "is not a name for a server",
    ("--port", "80.5"): "an integer from 1 to 65535, or auto",
    ("--image", "a/b@sha256:123"): "has no valid digest",
    ("--image", "http://x/y"): "does not name a registry",
    ("--vllm", "0.32.0; rm"): "is not a vLLM version",
    ("--channel", "beta"): "choose from stable",
    ("--registry", "https://x"): "does not name a registry",
    ("--strategy", "tp"): "does not list the strategy 'tp'",
    ("--feature", "tool_calling=x"): "unknown mode of tool_calling 'x'",
    ("--revision", "../x"): "is not a revision",
    ("--max-model-len", "128kb"): "must be a positive integer",
    ("--max-model-len", "999999999"): "has 196,608",
    ("--explain", "nothing"): "the plan has no 'nothing'",
    ("--context", "32768"): "next: --max-model-len 32768",
    ("--listen", "999.9.9.9"): "is not an IP address",
}
OTHERS: dict[Request, str] = {
    ("--hardware", "h200", "--gpus", "4.0"): "--gpus must be an integer",
    ("--hardware", "h200", "--gpus", "0-3"): "--gpus must be an integer",
    ("--hardware", "h200", "--gpus", "0,0"): "only on the local machine",
    ("--hardware", "h200", "--gpus", "64"): "next: --gpus 8 --nodes 8",
    ("--hardware", "h200,h100"): "unknown hardware 'h200,h100'",
    ("--hardware", "mi300x", "--platform", "cuda"): "next: --platform rocm",
    ("--hardware", "h200", "--nodes", "1.5"): "--nodes must be an integer",
    ("--hardware", "h200", "--max-users", "64"): "--max-users needs --context",
    (
        "--hardware",
        "h200",
        "--max-users",
        "999999999",
        "--context",
        "32768",
    ): "no layout of up to 8 GPUs holds",
    ("--hardware", "h200", "--max-users", "64", "--context", "-1"): "--context must be a positive integer",
    ("--compare", ","): "takes 1 to 32 machines",
    ("--compare", "h200x0,h200x4"): "GPUs and nodes must be integers from 1",
    ("--compare", "h200x99999999999"): '--compare "h200x4,h200x8x2"',
    ("--compare", "h200x4", "--format", "compose"): "cannot be used with --format compose",
    ("--model", "org//name", "--hardware", "h200"): "unknown model 'org//name'",
    ("--model", "org/../name", "--hardware", "h200"): "unknown model",
    ("--model", "https://huggingface.co/MiniMaxAI/MiniMax-M2", "--hardware", "h200"): "Did you mean",
    ("--model", "org/name@main", "--hardware", "h200"): "unknown model",
    ("--model", "/proc/self", "--hardware", "h200"): "has no config.json",
}


@pytest.mark.parametrize(("setting", "message"), SETTINGS.items())
def test_an_odd_setting_is_refused(setting: str, message: str) -> None:
    assert_refused((*H200, "--set", setting), message)


@pytest.mark.parametrize(("variable", "message"), VARIABLES.items())
def test_an_odd_variable_is_refused(variable: str, message: str) -> None:
    assert_refused((*H200, "--env", variable), message)


@pytest.mark.parametrize(("words", "message"), REQUESTS.items())
def test_an_odd_request_for_known_hardware_is_refused(words: Request, message: str) -> None:
    assert_refused((*H200, *words), message)


@pytest.mark.parametrize(("words", "message"), OTHERS.items())
def test_an_odd_model_or_machine_is_refused(words: Request, message: str) -> None:
    assert_refused(words, message)


RIGHT: dict[Request, str] = {
    ("--set", "--max-model-len=1.5k"): "--max-model-len 1.5k",
    ("--set", "--tensor-parallel-size=04"): "layout TP4 on 4 GPUs",
    ("--set", "--kv-cache-memory-bytes=10G"): "fits: 169,120 KV tokens",
    ("--set", "--served-model-name=$(id)"): "'$(id)'",
    ("--set", "--max-num-batched-tokens=4k", "--set", "--max-num-seqs=4000"): "--max-num-seqs 4000",
    ("--set", "--compilation-config.mode=3", "--set", "--compilation-config.backend=eager"): ".backend eager",
    ("--set", "--seed=4294967295"): "--seed 4294967295",
    ("--env", "VLLM_PORT=8001"): "VLLM_PORT",
    ("--env", "A=1", "--env", "a=2"): "a=2",
    ("--hardware", "H200"): "layout TP4 on 4 GPUs",
    ("--explain", "tensor_parallel_size"): "--tensor-parallel-size",
}


@pytest.mark.parametrize(("words", "shown"), RIGHT.items())
def test_an_odd_request_that_vllm_accepts_is_planned(words: Request, shown: str) -> None:
    machine = H200[2:] if "--hardware" in words else H200
    found = plan(*machine, *words)
    assert found.code == 0, found.err
    assert shown in " ".join(found.out.split())


def test_a_yarn_override_is_still_planned() -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 196608}
    found = plan(*H200, "--set", f"--hf-overrides={json.dumps({'rope_scaling': rope})}")
    assert found.code == 0, found.err
    assert "longest context 786,432" in found.out


@pytest.mark.parametrize(
    ("whole", "path", "leaf", "expected"),
    [
        ('{"a": 1}', "b", "2", {"a": 1, "b": 2}),
        ('{"a": {"b": 1}}', "a.c", "x", {"a": {"b": 1, "c": "x"}}),
        ('{"a": 1}', "a.c", "true", {"a": {"c": True}}),
        ("{}", "a+", "x,y", {"a": ["x", "y"]}),
        ("broken", "a", "1", {"a": 1}),
    ],
)
def test_a_dotted_option_is_merged_into_its_object(
    whole: str, path: str, leaf: str, expected: object
) -> None:
    assert json.loads(merged(whole, path, leaf)) == expected
