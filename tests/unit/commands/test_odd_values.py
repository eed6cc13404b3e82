"""Values and spellings that vLLM's own parser accepts, and that would have become something else than was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.commands.test_odd_requests import H200, Request, assert_refused, plan


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))


def settings(*values: str) -> Request:
    return tuple(word for value in values for word in ("--set", value))


# One option in several spellings.
SPELLINGS: dict[Request, str] = {
    settings("--api-ke=secret"): "--set --api-key cannot be used",
    settings("--hf-tok=secret"): "next: invoke login",
    settings("--node-ra=1"): "next: --nodes NUMBER",
    settings('--hf-over={"num_hidden_layers":0}'): "'num_hidden_layers' must be a positive integer",
    settings("--tensor-parallel=4", "--tensor-parallel-size=2"): "is given twice, with '4' and '2'",
    settings("--max-model-len=8192", "--max-model=4096"): "is given twice, with '8192' and '4096'",
    settings("-O=3", "--optimization-level=0"): "is given twice, with '3' and '0'",
    settings(
        "--async-scheduling=true", "--no-async-scheduling=true"
    ): "is given twice, with 'true' and 'false'",
    settings("--no-no-async-scheduling=true"): "is not a vLLM flag with a value",
}


@pytest.mark.parametrize(("words", "message"), SPELLINGS.items())
def test_one_option_in_two_spellings_is_refused(words: Request, message: str) -> None:
    assert_refused((*H200, *words), message)


# What vLLM's parser accepts, and its server refuses or runs otherwise than the plan says.
SERVER: dict[Request, str] = {
    settings("--num-gpu-blocks-override=0"): "must be a positive integer (got '0')",
    settings("--num-gpu-blocks-override=1"): "next: leave out --set --num-gpu-blocks-override",
    settings("--num-gpu-blocks-override=10000000"): "next: leave out --set --num-gpu-blocks-override",
    settings("--max-num-seqs=9999999999999999999"): "next: leave out --set --max-num-seqs",
    settings("--max-num-seqs=１６"): "must be a positive integer (got '１６')",
    settings("--gpu-memory-utilization=０.9"): "must be a number",
    settings("--block-size=7"): "--block-size 7 is not a multiple of 16",
    settings("--cudagraph-capture-sizes=-1"): "must be a positive integer (got '-1')",
    settings("--master-port=99999"): "must be from 1 to 65535 (got '99999')",
    settings("--data-parallel-backend=nope"): "choose from mp, ray",
    settings("--prefill-context-parallel-size=2"): "Slipway does not plan",
    settings("--headless=true"): "next: --nodes NUMBER",
    settings("--data-parallel-rank=1"): "next: --nodes NUMBER",
    settings("--data-parallel-size-local=2"): "next: --nodes NUMBER",
    settings("--download-dir=/etc"): "next: HF_HUB_CACHE=FOLDER",
    settings("--host=127.0.0.1"): "next: --listen 127.0.0.1",
    settings("--host=localhost"): "next: --listen 127.0.0.1",
    settings("--uds=/tmp/x"): "next: --port PORT",
    settings("--enable-eplb=true"): "next: --set --enable-expert-parallel=true",
    settings("--eplb-config.num_redundant_experts=3"): "'num_redundant_experts' needs --enable-eplb",
    settings("--enable-log-outputs=true"): "needs --enable-log-requests",
    settings("--numa-bind-nodes=0"): "needs --numa-bind",
    ("--no-feature", "tool_calling", *settings("--enable-auto-tool-choice=true")): "needs --tool-call-parser",
    settings(
        "--enable-chunked-prefill=false", "--max-num-batched-tokens=8192", "--max-model-len=16384"
    ): "--max-num-batched-tokens 8192 is less than --max-model-len 16384",
    settings(
        "--long-prefill-token-threshold=9000", "--max-model-len=8192"
    ): "is more than --max-model-len 8192",
    settings("--max-num-seqs=20000"): "vLLM's default step has 8,192 here",
    settings("--optimization-level=O0"): "choose from 0, 1, 2, 3",
    settings("--device-ids=0,1"): "next: --gpus 0,2",
    settings("--spec-tokens=3"): "--spec-tokens: speculation needs the key 'method' or 'model'",
    settings("--spec-method=eagle3", "--spec-tokens=3"): "needs the key 'model'",
    settings(
        "--mamba-block-size=64", "--enable-prefix-caching=false"
    ): "cannot be used with --no-enable-prefix",
    settings("--spec-tokens=0", "--spec-method=mtp"): "must be a positive integer (got '0')",
    settings("--collect-detailed-traces=all"): "needs --otlp-traces-endpoint",
    settings("--enable-elastic-ep=true"): "needs --enable-eplb",
    settings("--tokenizer-mode=banana"): "has no choice 'banana' (choose from auto",
    settings("--config-format=banana"): "has no choice 'banana' (choose from auto, hf, mistral)",
    settings("--distributed-executor-backend=banana"): "has no choice 'banana'",
    settings("--lora-modules=a="): "must be NAME=PATH",
    settings('--lora-modules={"name":1}'): "a JSON object with 'name' and 'path'",
    ("--env", "VLLM_DP_SIZE=2"): "next: --set --data-parallel-size=NUMBER",
    ("--env", "VLLM_DP_RANK=1"): "next: --set --data-parallel-size=NUMBER",
    ("--env", "VLLM_LOGGING_LEVEL=loud"): "choose from CRITICAL, DEBUG",
    ("--env", "VLLM_PORT=８０"): "must be an integer (got '８０')",
}


@pytest.mark.parametrize(("words", "message"), SERVER.items())
def test_what_the_server_would_refuse_is_refused(words: Request, message: str) -> None:
    assert_refused((*H200, "--channel", "wheel", *words), message)


ACCEPTED: dict[Request, str] = {
    settings("--num-gpu-blocks-override=10000"): "fits: 160,000 KV tokens",
    settings("--gpu-memory-utilization=9e-1"): "fits: 1,139,248 KV tokens",
    settings("--gpu-memory-utilization=+0.9"): "fits: 1,139,248 KV tokens",
    settings("--block-size=64"): "--block-size 64",
    settings("--enable-eplb=true", "--enable-expert-parallel=true"): "layout TP4+EP on 4 GPUs",
    settings("--enable-log-outputs=true", "--enable-log-requests=true"): "--enable-log-outputs",
    ("--env", "VLLM_LOGGING_LEVEL=debug"): "VLLM_LOGGING_LEVEL=debug",
}


@pytest.mark.parametrize(("words", "shown"), ACCEPTED.items())
def test_what_the_server_accepts_is_planned(words: Request, shown: str) -> None:
    found = plan(*H200, *words)
    assert found.code == 0, found.err
    assert shown in " ".join(found.out.split())


RIGHT: dict[Request, str] = {
    settings("--no-enable-prefix-caching=false"): " --enable-prefix-caching",
    settings("--no-enable-prefix-caching=true"): " --no-enable-prefix-caching",
    settings("--no-async-scheduling=true", "--async-scheduling=false"): " --no-async-scheduling",
    settings("--served-model-name=--help"): " --served-model-name=--help",
    settings("--served-model-name=-x"): " --served-model-name=-x",
    settings("--max-logprobs=-1"): " --max-logprobs -1",
    settings("--distributed-executor-backend=my.Class"): " --distributed-executor-backend my.Class",
    settings("--spec-method=ngram", "--spec-tokens=3"): " --spec-tokens 3",
    settings("--spec-model=org/draft", "--spec-tokens=3"): " --spec-model org/draft",
    settings("--spec-method=mtp"): " --spec-method mtp",
    settings("--mamba-block-size=64"): " --mamba-block-size 64",
}


@pytest.mark.parametrize(("words", "shown"), RIGHT.items())
def test_a_setting_keeps_its_meaning(words: Request, shown: str) -> None:
    found = plan(*H200, *words, "--format", "docker")
    assert found.code == 0, found.err
    command = " ".join(found.out.replace("\\\n", " ").split())
    assert f"{shown} " in f"{command} "


# Names that no engine, registry or machine has, and two words for one thing.
NAMES: dict[Request, str] = {
    ("--image", "\udcff"): "is not the name of an image",
    ("--image", "ä/b"): "is not the name of an image",
    ("--image", "a:"): "'a:' has no valid tag",
    ("--image", "a:-x"): "has no valid tag",
    ("--image", f"a:{'t' * 129}"): "has no valid tag",
    ("--image", ":tag"): "':tag' does not name an image",
    ("--image", f"@sha256:{'0' * 64}"): "does not name an image",
    ("--image", "a/"): "does not name an image",
    ("--image", "a...b/c"): "does not name a registry",
    ("--image", "-a.b/c"): "does not name a registry",
    ("--pids", "4194305"): "--pids must be an integer from 0 to 4194304",
    ("--listen", "224.0.0.1"): "cannot be listened on",
    ("--listen", "ff02::1"): "cannot be listened on",
    ("--listen", "255.255.255.255"): "cannot be listened on",
    ("--listen", "fe80::1%eth0"): "without the name of an interface",
    ("--feature", "reasoning", "--no-feature", "reasoning"): "reasoning is enabled and disabled",
    ("--feature", "reasoning", "--feature", "reasoning=x"): "--feature reasoning is given twice",
}


@pytest.mark.parametrize(("words", "message"), NAMES.items())
def test_a_name_that_cannot_be_is_refused(words: Request, message: str) -> None:
    assert_refused((*H200, *words), message)


def test_one_user_with_a_long_context_names_the_longest() -> None:
    words = ("--hardware", "h200", "--max-users", "1", "--context", "200000")
    assert_refused(words, "holds 1 user with 200,000 tokens each")
    assert_refused(words, "next: --context 196608")


def test_a_context_is_a_size_and_hardware_has_other_names() -> None:
    found = plan("--hardware", "NVIDIA H200", "--max-users", "8", "--context", "32K")
    assert found.code == 0, found.err
    assert plan("--hardware", "h200", "--max-users", "8", "--context", "32768").out == found.out


@pytest.mark.parametrize("name", ["../h200", "h200\n", "h200;id", "h200:4", "h.200"])
def test_hardware_is_a_name(name: str) -> None:
    assert_refused(("--hardware", name), "unknown hardware")


def test_a_variable_of_the_container_that_is_replaced_is_noted() -> None:
    found = plan(*H200, "--env", "HF_HUB_CACHE=/elsewhere")
    assert "HF_HUB_CACHE /elsewhere: set by the user, replaces /hub" in found.out


@pytest.mark.parametrize("flag", ["--disable-log-stats", "--aggregate-engine-logging", "--grpc"])
def test_a_switch_without_an_off_form_is_left_out(flag: str) -> None:
    """The parser of vLLM has no --no-disable-log-stats; off is what the server does without it."""
    tiny = ("--model", "slipway/MiniMax-M2-tiny", "--hardware", "cpu", "--gpus", "1")
    found = plan(*tiny, "--set", f"{flag}=false", "--format", "docker")
    assert found.code == 0, found.err
    assert flag.removeprefix("--") not in found.out


MACHINES: dict[Request, str] = {
    ("--compare", "h200x4", "--gpus", "2"): "--compare cannot be used with --gpus",
    ("--compare", "h200x4", "--hardware", "mi300x"): "--compare cannot be used with --hardware",
    ("--compare", "h200x4", "--nodes", "2"): "--compare cannot be used with --nodes",
    (
        "--compare",
        "h200x4",
        "--context",
        "32K",
        "--max-model-len",
        "4096",
    ): "is more than --max-model-len 4096",
    (*H200, "--max-users", "5", "--context", "1000", "--max-model-len", "500"): "next: --max-model-len 1000",
}


@pytest.mark.parametrize(("words", "message"), MACHINES.items())
def test_a_machine_or_a_context_is_given_once(words: Request, message: str) -> None:
    assert_refused(words, message)


def test_a_setting_of_the_hardware_does_not_count_with_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_SLIPWAY_HARDWARE", "mi300x")
    found = plan("--compare", "h200x4")
    assert (found.code, "h200x4" in found.out) == (0, True), found.err


def test_no_user_has_more_tokens_than_the_server_accepts() -> None:
    found = plan(
        "--compare", "h200x4", "--context", "32768", "--set", "--max-model-len=4k", "--format", "json"
    )
    assert '"users": 0' in found.out
