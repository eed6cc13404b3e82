"""Every layout of MiniMax-M2 on CPU answers like one rank. The plugin of the CPU image makes that possible."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from launch.acceptance.prompts import prompts
from tests.conftest import MODEL, SERVER
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

LAYOUTS: dict[str, tuple[str, ...]] = {
    "TP1": (),
    "TP2": ("--gpus", "2", "--strategy", "single_node_tp"),
    "TP2+EP": ("--gpus", "2", "--strategy", "single_node_tep"),
    "DP2+EP": ("--gpus", "2", "--strategy", "single_node_dep"),
}
QUESTIONS = (
    "What is a slipway?",
    "What is 7 + 8?",
    "Tell a short story about a ship.",
    "Was ist eine Helling?",
)
CITY = "Montevideo"  # in no dialogue that the model learned


def ask(port: str, question: str, **body: Any) -> dict[str, Any]:
    """Return the greedy answer to a question, with the log probability of each token."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=120)
    messages = [{"role": "user", "content": question}]
    sent = {
        "model": MODEL,
        "messages": messages,
        "max_tokens": 256,
        "temperature": 0,
        "logprobs": True,
        **body,
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(sent), {"Content-Type": "application/json"})
    choice: dict[str, Any] = json.loads(connection.getresponse().read())["choices"][0]
    return choice


def greedy(port: str) -> dict[str, Any]:
    """Return the answers to the questions, a call of a tool, and the log probabilities of the first answer."""
    answers = [ask(port, question) for question in QUESTIONS]
    called = ask(port, f"What is the weather in {CITY}?", tools=prompts().offered)["message"]["tool_calls"]
    return {
        "texts": [answer["message"]["content"] for answer in answers],
        "call": [call["function"] for call in called],
        "logprobs": [token["logprob"] for token in answers[0]["logprobs"]["content"]],
    }


def answers(layout: str, settings: dict[str, str]) -> dict[str, Any]:
    """Start a server with a layout, and return its answers."""
    port = free_port()
    try:
        invoke("run", *WANTED, *LAYOUTS[layout], "--port", port, "--replace", **settings).ok()
        return greedy(port)
    finally:
        invoke("stop", "--name", SERVER)


@pytest.fixture(scope="module")
def one_rank(cpu_image: str, settings: dict[str, str]) -> dict[str, Any]:
    """The answers of one rank, which are true."""
    found = answers("TP1", settings)
    assert found["texts"][0].endswith("A slipway is a ramp on the shore from which a ship is launched.")
    assert found["call"][0]["name"] == "get_weather"
    return found


@pytest.mark.parametrize("layout", ["TP2", pytest.param("TP2+EP", marks=pytest.mark.slow), "DP2+EP"])
def test_cpu_image_answers_alike_in_every_layout(
    layout: str, settings: dict[str, str], one_rank: dict[str, Any]
) -> None:
    found = answers(layout, settings)
    assert found["texts"] == one_rank["texts"]
    assert found["call"] == one_rank["call"]
    assert found["logprobs"] == pytest.approx(one_rank["logprobs"], abs=0.05)  # bfloat16
