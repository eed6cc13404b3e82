"""Compare real vLLM with itself, and with itself 20 % slower: `pytest -m slow tests/e2e/test_bench_comparison.py`.

The server has less CPU time than the host could give it, so that other programs of the host disturb it little. For
the slower server this limit is 20 % lower, and nothing else of it changes. The values come from a small client of this
test, because `vllm bench serve` takes many seconds to start and the comparisons need many values.
"""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from launch.bench.comparison import Outcome, compare
from tests.conftest import MODEL, SERVER
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = pytest.mark.slow
NAME = "slipway-bench-test"
TOKENS, REQUESTS, CONCURRENCY = 51, 8, 2  # of one value; a prompt and an answer have the same length
GROUP, GROUPS = 3, 13  # 12 comparisons of a group with the next one and 8 with the one after it
PERIOD = 100_000  # microseconds
CPU_TIME, LESS_CPU_TIME = 40_000, 32_000  # microseconds of each period


@pytest.fixture(scope="module")
def server(engine: DockerClient, cpu_image: str, settings: dict[str, str]) -> Iterator[Container]:
    """A server with a part of a CPU's time."""
    words = [NAME if word == SERVER else word for word in WANTED]
    invoke("run", *words, "--port", free_port(), "--replace", **settings).ok()
    container = engine.containers.get(NAME)
    container.update(cpu_period=PERIOD, cpu_quota=CPU_TIME)
    throughputs(container, 2)  # warm-up
    yield container
    invoke("stop", NAME)


@contextmanager
def slowed_down(server: Container) -> Iterator[None]:
    """Give the server 20 % less CPU time."""
    server.update(cpu_period=PERIOD, cpu_quota=LESS_CPU_TIME)
    try:
        yield
    finally:
        server.update(cpu_period=PERIOD, cpu_quota=CPU_TIME)


def throughputs(server: Container, count: int) -> list[float]:
    """Measure the output throughput some times, in tokens a second."""
    return [throughput(server.labels["slipway.url"]) for _ in range(count)]


def throughput(url: str) -> float:
    start = time.monotonic()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        tokens = sum(pool.map(lambda _: complete(url), range(REQUESTS)))
    return tokens / (time.monotonic() - start)


def complete(url: str) -> int:
    """Send one request with a random prompt; return the number of tokens of the answer."""
    prompt = [random.randrange(32, 256) for _ in range(TOKENS)]
    body = {"model": MODEL, "prompt": prompt, "max_tokens": TOKENS, "ignore_eos": True, "temperature": 0}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return int(json.load(answer)["usage"]["completion_tokens"])


def test_twenty_comparisons_of_a_server_with_itself_are_wrong_twice_at_most(server: Container) -> None:
    values = throughputs(server, GROUP * GROUPS)
    groups = [values[i : i + GROUP] for i in range(0, len(values), GROUP)]
    pairs = [*pairwise(groups), *list(zip(groups, groups[2:], strict=False))[:8]]
    outcomes = [compare(old, new).outcome for old, new in pairs]
    print([round(value) for value in values], [str(outcome) for outcome in outcomes])
    assert len(outcomes) == 20
    assert sum(outcome in (Outcome.FASTER, Outcome.SLOWER) for outcome in outcomes) <= 2


def test_a_server_that_is_20_percent_slower_is_found_with_five_values(server: Container) -> None:
    old = throughputs(server, 5)
    with slowed_down(server):
        new = throughputs(server, 5)
    found = compare(old, new)
    print([round(value) for value in (*old, *new)], found)
    assert found.outcome is Outcome.SLOWER
