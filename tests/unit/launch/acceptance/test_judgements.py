"""The judgements of items, without a server: which answers pass, which fail, and for which cause."""

from __future__ import annotations

from typing import Any

import pytest

from launch.acceptance.answer import Answer, ToolCall
from launch.acceptance.items.api_items import judge_json, judge_logprobs, judge_tokens, stop_word
from launch.acceptance.items.context_items import fill, hidden
from launch.acceptance.items.reasoning_items import incomplete, judge_reasoning, judge_responses, similar
from launch.acceptance.items.sampling_items import judge_defaults
from launch.acceptance.items.text_items import first_difference, judge_facts, spread
from launch.acceptance.items.tool_items import conversation, judge_parallel
from launch.acceptance.prompts import Fact, prompts

SUM = Fact("What is 7 + 8?", r"\b15\b")


def test_facts_may_be_wrong_once_in_four() -> None:
    right, wrong = Answer(content="7 + 8 = 15"), Answer(content="7 + 8 = 150")
    assert judge_facts([SUM] * 4, [right, right, right, wrong]).outcome == "pass"
    found = judge_facts([SUM] * 4, [right, right, wrong, wrong])
    assert (found.outcome, found.cause, found.metrics["right_answers"]) == ("fail", "wrong-answers", 0.5)


def test_facts_accept_thoughts_in_the_content() -> None:
    assert judge_facts([SUM], [Answer(content="<think>150?\n</think>\n\n15")]).outcome == "pass"


@pytest.mark.parametrize(
    ("answers", "differ"),
    [
        (["The sea", "The sea"], False),
        (["The sea", "A ship"], True),
        (["x" * 60 + "a", "x" * 60 + "b"], False),  # rounding may decide later words on a GPU
    ],
)
def test_answers_differ_if_their_starts_do(answers: list[str], differ: bool) -> None:
    assert bool(first_difference(answers)) == differ


@pytest.mark.parametrize(
    ("seen", "differ"),
    [
        ({"The": [-0.40, -0.42]}, False),
        ({"The": [-0.40, -1.40]}, True),
        ({"The": [-0.30], "A": [-0.35]}, True),
        ({"The": [-1.10], "A": [-1.12]}, False),  # a tie
    ],
)
def test_spread_tells_weights_apart_from_rounding(seen: dict[str, list[float]], differ: bool) -> None:
    assert bool(spread(seen)) == differ


@pytest.mark.parametrize(
    ("answers", "outcome", "cause"),
    [
        ([Answer(reasoning="I add.", content="15")], "pass", ""),
        ([Answer(content="<think>I add.\n</think>\n\n15")], "pass", ""),
        ([Answer(content="15")], "skipped", ""),
        ([Answer(content="I add.\n</think>\n\n15")], "fail", "parser"),
        ([Answer(content="<think>I add.</think>15</think>")], "fail", "parser"),
        ([Answer(reasoning="I add.")], "fail", "only-reasoning"),
        ([Answer(reasoning="a", content="<think>a</think>15")], "fail", "parser"),
        ([Answer(reasoning="a", content="15"), Answer(content="<think>a</think>15")], "fail", "parser"),
    ],
)
def test_reasoning_has_one_place(answers: list[Answer], outcome: str, cause: str) -> None:
    found = judge_reasoning(answers)
    assert (found.outcome, found.cause) == (outcome, cause)


def response(text: str = "15", status: str = "completed", **more: Any) -> dict[str, Any]:
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return {"object": "response", "status": status, "output": [{"type": "reasoning"}, message], **more}


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (response(), "pass"),
        (response("<think>I add.</think>15"), "fail"),
        (response("16"), "fail"),
        (response(" "), "fail"),
        (response(status="incomplete"), "fail"),
        (response(output=[]), "fail"),
        (response(object="chat.completion"), "fail"),
        ({}, "fail"),
        ([], "fail"),
    ],
)
def test_responses_need_a_message_without_thoughts(data: Any, outcome: str) -> None:
    assert judge_responses(data, SUM.expect).outcome == outcome


def test_a_stream_needs_its_end_its_reason_and_its_usage() -> None:
    plain = Answer(content="15", completion_tokens=2, finish="stop")
    assert incomplete(plain, plain) == ""
    assert "[DONE]" in incomplete(plain, Answer(finish="stop", completion_tokens=2, done=False))
    assert "finish_reason" in incomplete(plain, Answer(completion_tokens=2))
    assert "usage" in incomplete(plain, Answer(finish="stop"))


def test_a_shorter_stream_with_as_many_tokens_is_not_similar() -> None:
    plain = Answer(content="The ship slides into the sea and floats away", completion_tokens=10)
    assert similar(plain, Answer(content="The ship slides into the sea and swims off.", completion_tokens=10))
    assert not similar(plain, Answer(content="The ship slides into the", completion_tokens=10))


def token(logprob: float, *others: float) -> dict[str, Any]:
    return {"token": "a", "logprob": logprob, "top_logprobs": [{"logprob": one} for one in others]}


@pytest.mark.parametrize(
    ("tokens", "outcome"),
    [
        ([token(-0.1, -0.1, -3.0, -4.0)], "pass"),
        ([], "fail"),
        ([token(0.5, -0.1, -3.0, -4.0)], "fail"),
        ([token(-0.1, -0.1, -3.0)], "fail"),
        ([token(-0.1, -0.1, -0.2, -0.3)], "fail"),  # together more than 1
        ([token(-3.0, -0.1, -3.0, -4.0)], "fail"),  # not the most likely token
    ],
)
def test_logprobs_are_those_of_a_distribution(tokens: list[dict[str, Any]], outcome: str) -> None:
    assert judge_logprobs(tokens).outcome == outcome


def test_tokens_of_half_a_character_are_joined() -> None:
    halves = [{"token": "", "bytes": [part]} for part in "é".encode()]
    assert judge_tokens(Answer(content="é", logprobs=tuple(halves))).outcome == "pass"
    assert judge_tokens(Answer(content="e", logprobs=tuple(halves))).cause == "rewritten"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"name": "Aurora", "year": 1900}', "pass"),
        ('<think>I.</think>{"name": "Aurora", "year": 1900}', "pass"),
        ('{"name": "Aurora", "year": "1900"}', "fail"),
        ('{"name": "Aurora"}', "fail"),
        ("The Aurora", "fail"),
    ],
)
def test_json_follows_its_schema(text: str, outcome: str) -> None:
    assert judge_json(Answer(content=text)).outcome == outcome


def test_stop_word_is_new_in_the_second_half() -> None:
    assert stop_word(Answer(reasoning="one two", content="one two three four")) == "three"
    assert stop_word(Answer(reasoning="three four", content="one two three four")) == ""
    assert stop_word(Answer()) == ""


@pytest.mark.parametrize(
    ("default", "limited", "free", "outcome"),
    [
        (["a"], ["a"], ["b"], "pass"),
        (["b"], ["a"], ["b"], "fail"),
        (["a"], ["a"], ["a"], "pass"),  # the limits make no difference
        (["c"], ["a"], ["b"], "pass"),  # seeds are not reproducible
    ],
)
def test_defaults_are_told_by_equal_seeds(
    default: list[str], limited: list[str], free: list[str], outcome: str
) -> None:
    assert judge_defaults("2 answers", {"top_k": 40}, default, limited, free).outcome == outcome


def weather(*cities: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall("get_weather", f'{{"city": "{city}"}}') for city in cities)


@pytest.mark.parametrize(
    ("answer", "outcome", "cause"),
    [
        (Answer(calls=weather("Paris", "Tokyo, Japan")), "pass", ""),
        (Answer(calls=weather("Paris")), "skipped", ""),
        (Answer(calls=weather("Paris", "Paris")), "fail", "arguments"),
        (Answer(content="<minimax:tool_call>"), "fail", "markup"),
        (Answer(content="It is warm."), "fail", "no-calls"),
    ],
)
def test_parallel_calls_are_about_both_cities(answer: Answer, outcome: str, cause: str) -> None:
    found = judge_parallel(answer)
    assert (found.outcome, found.cause) == (outcome, cause)


def test_thoughts_are_passed_back_where_the_server_puts_them() -> None:
    assert conversation("hm", in_content=True)[1]["content"].startswith("<think>\nhm")
    assert conversation("hm", in_content=False)[1]["reasoning"] == "hm"


def test_hidden_puts_the_sentence_at_its_depth() -> None:
    sentence = prompts().needle.hidden.format(word="Cobalt")
    assert hidden("Cobalt", 10, 0.0).startswith(sentence)
    assert hidden("Cobalt", 10, 1.0).endswith(f"{sentence} {prompts().needle.ask}")


def test_fill_measures_a_sentence() -> None:
    assert fill(1000, (1, 20), (41, 420)) == 99
