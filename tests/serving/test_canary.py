"""Questions before and after a benchmark: which answers are symptoms of a broken model."""

from __future__ import annotations

import pytest

from errors import Failed
from launch.bench.canary import QUESTIONS, Canary, symptom
from tests.serving.conftest import VllmServer

DONE = b"data: [DONE]\n\n"
RIGHT = "15, 5 and Paris"  # right for every question


def answers(vllm: VllmServer, text: str) -> None:
    vllm.stream({"choices": [{"delta": {"content": text}}]})
    vllm.chunks.append(DONE)


def test_the_questions_are_greedy(vllm: VllmServer) -> None:
    answers(vllm, RIGHT)
    Canary(vllm.url, "m", "sk-1").before()
    assert [request.body["temperature"] for request in vllm.requests] == [0] * QUESTIONS
    assert vllm.requests[0].headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("known", [True, False])
def test_right_answers_have_no_symptoms(known: bool, vllm: VllmServer) -> None:
    canary = Canary(vllm.url, "m", known=known)
    answers(vllm, RIGHT)
    found = canary.after(canary.before())
    assert {(one.symptom_before, one.symptom_after) for one in found} == {("", "")}


def test_a_wrong_answer_is_a_symptom_of_a_known_model_only(vllm: VllmServer) -> None:
    answers(vllm, "I like ships.")
    assert all(
        one.symptom_before == "the answer is 'I like ships.'"
        for one in Canary(vllm.url, "m", known=True).before()
    )
    assert not any(one.symptom_before for one in Canary(vllm.url, "m").before())


def test_an_answer_that_was_right_must_be_right_again(vllm: VllmServer) -> None:
    canary = Canary(vllm.url, "m")
    answers(vllm, RIGHT)
    before = canary.before()
    answers(vllm, "I like ships.")
    assert all(one.symptom_after for one in canary.after(before))


def test_a_server_that_does_not_answer_is_a_symptom_after_and_an_error_before(vllm: VllmServer) -> None:
    canary = Canary(vllm.url, "m")
    answers(vllm, RIGHT)
    before = canary.before()
    vllm.status = 500
    first, *others = canary.after(before)
    assert "HTTP 500" in first.symptom_after
    assert not any(one.symptom_after for one in others), "a server that does not answer is asked once"
    with pytest.raises(Failed, match="HTTP 500"):
        canary.before()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("\ufffd\ufffd", "the answer has 2 replacement characters"),
        ("the " * 9, "the answer repeats 'the' 8 times in a row"),
        ("!" * 40, f"the answer is '{'!' * 40}'"),
        ("." * 100, f"the answer is '{'.' * 60}...'"),
        ("Paris", ""),
        ("5", ""),
        ("七加八等于十五。", ""),
    ],
)
def test_symptom_of_a_text_alone(text: str, found: str) -> None:
    assert symptom(text, "") == found


def test_symptom_expects_the_right_answer_if_it_is_known() -> None:
    assert symptom("The capital is Paris.", "Paris") == ""
    assert symptom("Lyon", "Paris") == "the answer is 'Lyon'"
