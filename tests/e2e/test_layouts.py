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


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """The answers of each layout so far."""
    return {}


@pytest.mark.parametrize("layout", ["TP1", "TP2", pytest.param("TP2+EP", marks=pytest.mark.slow), "DP2+EP"])
def test_cpu_image_answers_alike_in_every_layout(
    layout: str, cpu_image: str, settings: dict[str, str], answers: dict[str, Any]
) -> None:
    port = free_port()
    try:
        invoke("run", *WANTED, *LAYOUTS[layout], "--port", port, "--replace", **settings).ok()
        answers[layout] = greedy(port)
    finally:
        invoke("stop", "--name", SERVER)
    assert answers[layout]["texts"][0].endswith(
        "A slipway is a ramp on the shore from which a ship is launched."
    )
    assert answers[layout]["call"][0]["name"] == "get_weather"
    assert answers[layout]["texts"] == answers["TP1"]["texts"]
    assert answers[layout]["call"] == answers["TP1"]["call"]
    assert answers[layout]["logprobs"] == pytest.approx(answers["TP1"]["logprobs"], abs=0.05)  # bfloat16
