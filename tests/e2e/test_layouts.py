"""Every layout of MiniMax-M2 on CPU answers like one rank. The plugin of the CPU image makes that possible."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.conftest import MODEL, SERVER
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

LAYOUTS: dict[str, tuple[str, ...]] = {
    "TP1": (),
    "TP2+EP": ("--gpus", "2", "--strategy", "single_node_tep"),
    "DP2+EP": ("--gpus", "2", "--strategy", "single_node_dep"),
}


def greedy(port: str) -> dict[str, Any]:
    """Return eight tokens and their log probabilities; rounding decides between later ones, which are near ties."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=120)
    body = {"model": MODEL, "prompt": "A slipway is", "max_tokens": 8, "temperature": 0, "logprobs": 1}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    choice = json.loads(connection.getresponse().read())["choices"][0]
    return {"text": choice["text"], "logprobs": choice["logprobs"]["token_logprobs"]}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """The answer of each layout so far."""
    return {}


@pytest.mark.parametrize("layout", ["TP1", pytest.param("TP2+EP", marks=pytest.mark.slow), "DP2+EP"])
def test_cpu_image_answers_alike_in_every_layout(
    layout: str, cpu_image: str, settings: dict[str, str], answers: dict[str, Any]
) -> None:
    port = free_port()
    exact = ("--set", "--dtype=float32")
    try:
        invoke("run", *WANTED, *LAYOUTS[layout], *exact, "--port", port, "--replace", **settings).ok()
        answers[layout] = greedy(port)
    finally:
        invoke("stop", "--name", SERVER)
    assert answers[layout]["text"] == answers["TP1"]["text"]
    assert answers[layout]["logprobs"] == pytest.approx(answers["TP1"]["logprobs"], abs=1e-3)
