"""Wrong and odd requests of `plan`: one clear message with exit code 2, or a plan that says what it changed."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.slipway_program import SlipwayProgram
from errors import Refused
from launch.spec.option import pairs
from launch.spec.plan_options import variables
from tasks import ns
from tests.invocation import Finished
from tests.unit.launch.plan_builders import M2
from tests.unit.launch.plan_builders import plan as make

SECONDS = 10.0  # two on an idle machine; these tests share theirs
H200 = ("--hardware", "h200", "--gpus", "4")
LONG = "9" * 5000
Request = tuple[str, ...]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def plan(*words: str) -> Finished:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            SlipwayProgram(ns).run(["slipway", "plan", *words])
        except SystemExit as end:
            code = int(end.code or 0)
    return Finished(code, out.getvalue(), err.getvalue())


def assert_refused(words: Request, message: str) -> None:
    began = time.monotonic()
    found = plan(*words)
    assert time.monotonic() - began < SECONDS
    assert (found.code, found.out) == (2, ""), found.err
    assert message in found.err
    assert "unexpected" not in found.err
    assert len(found.err) < 2000


NUMBERS: dict[str, str] = {
    "--max-model-len=-5": "auto or an integer such as 131072",
    "--max-model-len=0": "auto or an integer",
    "--max-model-len=0x10": "auto or an integer",
    f"--max-model-len={LONG}": "auto or an integer",
    "--max-model-len=1M": "has 196,608",
    "--gpu-memory-utilization=7": "greater than 0 and at most 1 (got '7')",
    "--gpu-memory-utilization=-1": "greater than 0 and at most 1",
    "--gpu-memory-utilization=0": "greater than 0 and at most 1",
    "--gpu-memory-utilization=abc": "must be a number",
    "--gpu-memory-utilization=nan": "must be a number",
    "--gpu-memory-utilization=inf": "at most 1",
    f"--gpu-memory-utilization={LONG}": "at most 1",
    "--device-memory-utilization=7": "at most 1",
    "--max-num-seqs=0": "must be a positive integer (got '0')",
    "--max-num-seqs=-1": "must be a positive integer",
    "--max-num-seqs=1.5": "must be a positive integer",
    "--max-num-batched-tokens=many": "an integer such as 8192 or 8k",
    "--tensor-parallel-size=two": "must be a positive integer (got 'two')",
    f"--tensor-parallel-size={LONG}": "must be a positive integer",
    "--tensor-parallel-size=4.0": "must be a positive integer",
    "--tensor-parallel-size=-4": "must be a positive integer",
    "--tensor-parallel-size=3": "TP3",
    "--pipeline-parallel-size=0": "must be a positive integer",
    "--data-parallel-size=1000000": "must be a positive integer",
    "--data-parallel-rpc-port=70000": "at most 65535",
    f"--seed={LONG}": "must be an integer",
    "--block-size=1.5": "must be an integer",
    "--block-size=-3": "greater than 0",
    "--kv-cache-memory-bytes=lots": "an integer such as",
    "--cpu-offload-gb=-1": "at least 0",
    "--max-loras=0": "must be a positive integer",
    "--max-lora-rank=7": "has no choice '7'",
    "--cudagraph-capture-sizes=one": "must be an integer",
}
WORDS: dict[str, str] = {
    "--no-such=1": "does not know --no-such",
    "--max-num-seqz=1": "Did you mean `--max-num-seqs`",
    "--tensor-paralel-size=4": "Did you mean `--tensor-parallel-size`",
    "--enable=true": "does not know --enable",
    "--swap-space=4": "does not know --swap-space",
    "--calculate-kv-scales=true": "have it",
    "--tool-call-parser-plugin=p.py": "next: --set --tool-parser-plugin=p.py",
    "--kv-cache-dtype=fp9": "Did you mean `fp8`",
    "--dtype=int3": "choose from auto, bfloat16",
    "--quantization=fp9": "Did you mean `fp8`",
    "--quantization=banana": "has no choice 'banana'",
    "--load-format=safetensor": "Did you mean `safetensors`",
    "--attention-backend=FLASHATTN": "Did you mean `FLASH_ATTN`",
    "--distributed-executor-backend=rai": "Did you mean `ray`",
    "--all2all-backend=deepep": "has no choice 'deepep'",
    "--moe-backend=Triton-Unfuse": "Did you mean `triton_unfused`",
    "--tool-call-parser=minimax": "unknown tool call parser 'minimax'",
    "--reasoning-parser=minimax-m2": "Did you mean `minimax_m2`",
    "--enable-prefix-caching=maybe": "takes no value",
    "--enable-expert-parallel=1": "takes no value",
    "--lora-modules=abc": "NAME=PATH",
    "--model=x": "--set --model cannot be used",
    "--port=70000": "next: --port PORT",
    "--config=f.yaml": "--set --config cannot be used",
    "--api-key=secret": "--set --api-key cannot be used",
    "--hf-token=secret": "next: invoke login",
    "--max-num-seqs=": "is not a vLLM flag with a value",
    "--foo bar=1": "is not a vLLM flag",
    "max-num-seqs=1": "is not a vLLM flag",
    "--=1": "is not a vLLM flag",
    "--a.b.c=1": "does not know --a.b.c",
}
JSON: dict[str, str] = {
    "--compilation-config={broken": "is not valid JSON",
    "--compilation-config=[1]": "must be a JSON object",
    "--compilation-config=3": "must be a JSON object",
    '--compilation-config={"mod": 3}': "has no key 'mod'. Did you mean `mode`",
    '--compilation-config={"mode": 9}': "has no choice 9",
    '--compilation-config={"mode": "fast"}': 'has no choice "fast"',
    '--compilation-config={"cudagraph_mode": "PIECEWIZE"}': "Did you mean `PIECEWISE`",
    '--compilation-config={"cudagraph_capture_sizes": 8}': "must be array",
    '--compilation-config={"cudagraph_capture_sizes": ["a"]}': "must be a list of",
    '--compilation-config={"pass_config": {"fuse_nom": true}}': "has no key 'pass_config.fuse_nom'",
    "--compilation-config.mod=3": "has no key 'mod'",
    "--compilation-config.pass_config.nothing=1": "has no key 'pass_config.nothing'",
    "--max-num-seqs.a=1": "is not a JSON object",
    '--attention-config={"backend": "FLASHATTN"}': "has no choice",
    '--attention-config={"flash_attn_version": 5}': "has no choice 5",
    '--speculative-config={"methd": "mtp"}': "Did you mean `method`",
    '--speculative-config={"method": "nope"}': 'has no choice "nope"',
    '--speculative-config={"num_speculative_tokens": 0}': "greater than 0",
    '--kv-transfer-config={"kv_connector": "NixlConnector", "kv_role": "both"}': 'has no choice "both"',
    "--hf-overrides={x": "is not valid JSON",
    "--override-generation-config=t=1": "is not valid JSON",
    "--limit-mm-per-prompt=image:1": "is not valid JSON",
    "--structured-outputs-config={}}": "is not valid JSON",
}
ENVIRONMENT: dict[str, str] = {
    "A B=1": "'A B' is not the name of a variable",
    "1A=1": "is not the name of a variable",
    "A-B=1": "is not the name of a variable",
    "é=1": "is not the name of a variable",
    "=1": "a value is missing",
    "VLLM_USE_DEEPGEM=1": "Did you mean `VLLM_USE_DEEP_GEMM`",
    "VLLM_USE_DEEP_GEMM=yes": "must be an integer (got 'yes')",
    "VLLM_NO_SUCH_THING=1": "does not know VLLM_NO_SUCH_THING",
    "VLLM_USE_V1=1": "vLLM #28204",
    "VLLM_WORKER_MULTIPROC_METHOD=thread": "has no choice 'thread'",
    f"VLLM_PORT={LONG}": "must be an integer",
    "HF_TOKEN=hf_x": "--env HF_TOKEN is not allowed",
}
OTHERS: dict[Request, str] = {
    ("--nodes", "1000000000000"): "--nodes must be an integer from 1 to 256",
    ("--nodes", LONG): "--nodes must be an integer",
    (*H200, "--set", "--max-num-seqs"): "a value is missing",
    (*H200, "--set", "--max-num-seqz=1"): "Did you mean `--max-num-seqs`",
    (*H200, "--set", "--gpu-memory-utilization=7"): "at most 1 (got '7')",
    (*H200, "--env", "A B=1"): "is not the name of a variable",
    ("--nodes", "0"): "--nodes must be an integer",
    ("--hardware", "h200", "--gpus", LONG): "--gpus must be an integer",
    ("--hardware", "cpu", "--gpus", "1000000000000"): "--gpus must be an integer",
    ("--hardware", "h200", "--gpus", "٣"): "--gpus must be an integer",
    ("--hardware", "mi250x", "--gpus", "8"): "fp8 needs FP8 matrix units",
    ("--hardware", "h2000"): "Did you mean `h200`",
    (*H200, "--max-model-len", LONG): "must be a positive integer",
    (*H200, "--max-model-len", "-5"): "must be a positive integer",
    (*H200, "--port", LONG): "--port must be an integer",
    (*H200, "--vllm", "99999"): "there is no vLLM 99999",
    (*H200, "--vllm", "0.999"): "there is no vLLM 0.999",
    (*H200, "--vllm", LONG): "is not a vLLM version",
    (*H200, "--vllm", "newest"): "is not a vLLM version",
    (*H200, "--image", "!!! not an image"): "is not a valid repository name",
    (*H200, "--image", "a" * 5000): "is not a valid repository name",
    (*H200, "--image", "UPPER/case"): "is not a valid repository name",
    (*H200, "--image", "a@b@c"): "has no valid digest",
    (*H200, "--set", "--max-num-seqs=1", "--set", "--max-num-seqs=2"): "is given twice, with '1' and '2'",
    (*H200, "--set", "--max-num-seqs=1", "--set", "--max_num_seqs=2"): "is given twice",
    (*H200, "--set", "-tp=2", "--set", "--tensor-parallel-size=4"): "is given twice",
    (*H200, "--max-model-len", "4096", "--set", "--max-model-len=8192"): "is given twice",
    (*H200, "--env", "A=1", "--env", "A=2"): "--env A is given twice",
    ("--model", "--help", "--hardware", "h200"): "unknown model '--help'",
    ("--model", "/", "--hardware", "h200"): "has no config.json",
    ("--model", "/dev/zero", "--hardware", "h200"): "is a file",
    ("--model", "\x00", "--hardware", "h200"): "unknown model",
    ("--model", "x" * 100_000, "--hardware", "h200"): "unknown model",
    (*H200, "--capabilities", "/dev/zero"): "is not a regular file",
    (*H200, "--lock", "/dev/zero"): "is not a regular file",
    (*H200, "--recipes", "/dev/zero"): "is not a folder of recipes",
    (*H200, *(word for n in range(3000) for word in ("--set", f"--a{n}=1"))): "more than 200 times",
    (*H200, "--set", f"--compilation-config={'[' * 100_000}"): "is not valid JSON",
    (*H200, "--set", f"--compilation-config.{'a.' * 3000}a=1"): "has no key",
}


@pytest.mark.parametrize(("option", "message"), [*NUMBERS.items(), *WORDS.items(), *JSON.items()])
def test_a_wrong_option_of_vllm_is_refused(option: str, message: str) -> None:
    with pytest.raises(Refused) as refusal:
        make(M2, "h200", 4, settings=pairs("--set", [option]))
    assert message in str(refusal.value)


@pytest.mark.parametrize(("variable", "message"), ENVIRONMENT.items())
def test_a_wrong_variable_is_refused(variable: str, message: str) -> None:
    with pytest.raises(Refused) as refusal:
        make(M2, "h200", 4, env=variables("--env", [variable]))
    assert message in str(refusal.value)


@pytest.mark.parametrize(("words", "message"), OTHERS.items())
def test_an_odd_request_is_refused(words: Request, message: str) -> None:
    assert_refused(words, message)


RIGHT: dict[Request, str] = {
    ("--set", "--max-model-len=128k"): "--max-model-len 128k",
    ("--max-model-len", "64K"): "--max-model-len 65536",
    ("--set", "--max-model-len=auto"): "--max-model-len auto",
    ("--set", "-tp=2"): "--tensor-parallel-size 2",
    ("--set", "--tensor_parallel_size=2"): "--tensor-parallel-size 2",
    ("--set", "--tensor-parallel=2"): "--tensor-parallel is short for --tensor-parallel-size",
    ("--set", "--max-num-seqs=2", "--set", "--max_num_seqs=2"): "--max-num-seqs 2",
    ("--set", "--compilation-config.mode=3"): "--compilation-config.mode 3",
    (
        "--set",
        '--kv-transfer-config={"kv_connector": "NixlConnector", "kv_role": "kv_both"}',
    ): "NixlConnector",
    ("--set", "--enable-prefix-caching=false"): "--no-enable-prefix-caching",
    ("--set", "--served-model-name=a b"): "'a b'",
    ("--set", "--attention-backend=flash_attn"): "--attention-backend flash_attn",
    ("--env", "OMP_NUM_THREADS=4"): "OMP_NUM_THREADS",
}


@pytest.mark.parametrize(("words", "shown"), RIGHT.items())
def test_what_vllm_accepts_is_planned(words: Request, shown: str) -> None:
    found = plan(*H200, *words)
    assert found.code == 0, found.err
    assert shown in " ".join(found.out.split())


# ---- files that are not recipes

MODEL = "model: {model_id: org/m"
ONE = "\ncompatible_strategies: [single_node_tp]\n"
Write = Callable[[Path], object]
RECIPES: dict[str, tuple[Write, str]] = {
    "a folder": (lambda path: path.mkdir(), "is not a regular file"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot read"),
    "400,000 words": (
        lambda path: path.write_text(f"{MODEL}, base_args: [{','.join(['a'] * 400_000)}]}}"),
        "too large for a recipe",
    ),
    "too deep": (lambda path: path.write_text(f"{MODEL}, x: {'[' * 3000}{']' * 3000}}}"), "not valid YAML"),
    "aliases of aliases": (
        lambda path: path.write_text(
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
        ),
        "1,000,000 values",
    ),
    "a value in itself": (lambda path: path.write_text("a: &a [*a]\n"), "not valid YAML"),
    "a long number": (lambda path: path.write_text(f"{MODEL}, context_length: {LONG}}}"), "not valid YAML"),
    "empty": (lambda path: path.write_text(""), "a recipe must be a mapping"),
    "bytes": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot read"),
    "a variable with a blank": (
        lambda path: path.write_text(f"{MODEL}, base_env: {{'A B': x}}}}{ONE}"),
        "'A B' is not the name of a variable",
    ),
    "an unknown option": (
        lambda path: path.write_text(f"{MODEL}, base_args: ['--tensor-paralel-size', '4']}}{ONE}"),
        "Did you mean `--tensor-parallel-size`",
    ),
    "an unknown key": (
        lambda path: path.write_text(
            f"{MODEL}, base_args: ['--compilation-config', '{{\"mod\": 3}}']}}{ONE}"
        ),
        "has no key 'mod'",
    ),
    "an unknown parser": (
        lambda path: path.write_text(f"{MODEL}, base_args: ['--tool-call-parser', 'nobody']}}{ONE}"),
        "unknown tool call parser 'nobody'",
    ),
}


@pytest.mark.parametrize("kind", RECIPES)
def test_a_file_that_is_not_a_recipe_is_refused(kind: str, tmp_path: Path) -> None:
    write, message = RECIPES[kind]
    folder = tmp_path / "models" / "org"
    folder.mkdir(parents=True)
    write(folder / "m.yaml")
    assert_refused(("--recipes", str(tmp_path), "--model", "org/m", "--hardware", "h200"), message)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["--set", "--env", "--max-model-len", "--vllm", "=", "--model", "--", "-tp=1", "{}", "1e9", "--help", "0"]
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(words, max_size=4))
def test_random_words_give_a_plan_or_one_message(given_words: list[str]) -> None:
    found = plan(*H200, *given_words)
    assert found.code in (0, 2), found.err
    assert "unexpected" not in found.err.replace("unexpected argument", "")
    assert "Traceback" not in found.err
