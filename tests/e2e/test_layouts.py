"""MiniMax-M2's layouts on CPU say what one rank says. The CPU image carries our plugin for it."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.conftest import MODEL
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

LAYOUTS = {
    "TP1": (),
    "TP2+EP": ("--gpus", "2", "--strategy", "single_node_tep"),
    "DP2+EP": ("--gpus", "2", "--strategy", "single_node_dep"),
}


def greedy(port: str) -> dict[str, Any]:
    """Eight tokens and their log probabilities; later ones are near ties that rounding decides."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=120)
    body = {"model": MODEL, "prompt": "A slipway is", "max_tokens": 8, "temperature": 0, "logprobs": 1}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    choice = json.loads(connection.getresponse().read())["choices"][0]
    return {"text": choice["text"], "logprobs": choice["logprobs"]["token_logprobs"]}


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What each layout that was tried so far said."""
    return {}


@pytest.mark.parametrize("layout", ["TP1", pytest.param("TP2+EP", marks=pytest.mark.slow), "DP2+EP"])
def test_cpu_image_with_our_plugin_says_the_same_in_every_layout(layout, cpu_image, settings, said):
    port = free_port()
    exact = ("--set", "--dtype=float32")
    try:
        invoke("run", *WANTED, *LAYOUTS[layout], *exact, "--port", port, "--replace", **settings).ok()
        said[layout] = greedy(port)
    finally:
        invoke("stop", "--name", "slipway-minimax-m2-tiny")
    assert said[layout]["text"] == said["TP1"]["text"]
    assert said[layout]["logprobs"] == pytest.approx(said["TP1"]["logprobs"], abs=1e-3)
