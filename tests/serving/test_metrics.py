"""Measure the load of servers that answer, from two readings of /metrics."""

from __future__ import annotations

from launch.serving.metrics import measure_load
from tests.serving.conftest import VllmServer


def page(tokens: int) -> list[bytes]:
    return [f"vllm:num_requests_running 2.0\nvllm:generation_tokens_total {tokens}\n".encode()]


def test_measure_load_reads_each_server_twice(vllm: VllmServer) -> None:
    vllm.chunks = page(100)
    vllm.delay = lambda: vllm.chunks.__setitem__(0, page(200)[0])  # the second reading has 100 tokens more
    load = measure_load({"m2": vllm.url}, seconds=0.05)["m2"]
    assert [request.path for request in vllm.requests] == ["/metrics", "/metrics"]
    assert (load.running, load.tokens) == (2, 200)
    assert load.tokens_per_s is not None
    assert 0 < load.tokens_per_s <= 100 / 0.05


def test_measure_load_leaves_out_servers_that_do_not_answer(vllm: VllmServer) -> None:
    assert measure_load({"gone": "http://127.0.0.1:9"}) == {}
    vllm.status = 404
    assert measure_load({"other": vllm.url}) == {}
