"""The requests that warm a server up."""

from __future__ import annotations

import pytest

from errors import Failed
from launch.bench.record import Load
from launch.bench.warmup import warm_up
from tests.serving.conftest import VllmServer

LOAD = Load(input_len=41, prefix_len=100, output_len=20, requests=30, concurrency=3)


def test_warm_up_sends_other_prompts_of_the_same_length(vllm: VllmServer) -> None:
    vllm.chunks = [b"{}"]
    assert warm_up(vllm.url, "m", LOAD, "sk-1") == len(vllm.requests) == 6
    prompts = {tuple(request.body["prompt"]) for request in vllm.requests}
    assert {len(prompt) for prompt in prompts} == {141}
    assert len(prompts) == 6
    assert {request.body["max_tokens"] for request in vllm.requests} == {20}
    assert {request.headers["authorization"] for request in vllm.requests} == {"Bearer sk-1"}


def test_a_load_that_the_server_rejects_is_refused_before_it_is_measured(vllm: VllmServer) -> None:
    vllm.errors = {"/v1/completions": "maximum context length is 2048"}
    with pytest.raises(Failed, match="rejected a request of this load") as failed:
        warm_up(vllm.url, "m", LOAD)
    assert "maximum context length is 2048" in failed.value.why
    assert failed.value.fix == "invoke bench --scale small"


def test_a_server_that_is_gone_is_one_clear_error() -> None:
    with pytest.raises(Failed, match="does not answer"):
        warm_up("http://127.0.0.1:9", "m", LOAD)
