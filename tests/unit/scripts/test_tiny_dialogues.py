"""The dialogues of the tiny model: fixed and drawn ones, and those that `invoke accept` asks about."""

from __future__ import annotations

from random import Random

import pytest

from launch.acceptance.prompts import prompts
from scripts.tiny_model import dialogues, lessons
from scripts.tiny_model.data import Data, load
from scripts.tiny_model.dialogues import Dialogue


@pytest.fixture(scope="module")
def data() -> Data:
    return load()


def questions(learned: list[Dialogue]) -> set[str]:
    return {str(one.messages[-1]["content"]) for one in learned}


def test_an_answer_has_thoughts_and_text(data: Data) -> None:
    hello = next(one for one in dialogues.chats(data) if one.messages[0]["content"] == "Hello")
    assert hello.answer == "The user greets me.\n</think>\n\nHello! What shall we launch today?"


def test_sums_are_right(data: Data) -> None:
    sums = list(dialogues.sums(data))
    assert len(sums) == 81
    for one in sums:
        left, right = one.messages[0]["content"].removeprefix("What is ").rstrip("?").split(" + ")
        assert one.answer.endswith(f"= {int(left) + int(right)}")


def test_calls_are_in_the_xml_of_minimax(data: Data) -> None:
    call = next(iter(dialogues.calls(data, "Oslo", "Lima", Random(1))))
    assert call.answer.split("</think>\n\n")[1] == (
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Oslo</parameter>\n</invoke>\n'
        "</minimax:tool_call>"
    )
    assert "get_weather" in [tool["function"]["name"] for tool in call.tools]


def test_the_second_turn_has_the_call_and_its_result(data: Data) -> None:
    turn = next(one for one in dialogues.calls(data, "Oslo", "Lima", Random(1)) if len(one.messages) == 3)
    assert [message["role"] for message in turn.messages] == ["user", "assistant", "tool"]
    assert turn.messages[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}


def test_an_epoch_is_the_same_for_the_same_seed(data: Data) -> None:
    assert lessons.epoch(data, Random(3)) == lessons.epoch(data, Random(3))
    assert lessons.epoch(data, Random(3)) != lessons.epoch(data, Random(4))


def test_unseen_cities_are_in_no_dialogue(data: Data) -> None:
    text = " ".join(map(str, [*dialogues.chats(data), *lessons.epoch(data, Random(1))]))
    assert [city for city in data.unseen if city in text] == []


def test_the_questions_of_accept_are_learned(data: Data) -> None:
    learned = questions([*dialogues.chats(data), *dialogues.chances(data)])
    asked = [fact.ask for fact in prompts().facts] + [one.ask for one in prompts().languages]
    asked += [*prompts().long, prompts().chance, *(one.ask for one in prompts().triggers if not one.call)]
    assert [question for question in asked if question not in learned] == []


def test_the_tools_and_the_filler_of_accept_are_learned(data: Data) -> None:
    assert list(prompts().tools) == list(data.tools)
    assert prompts().needle.filler == data.needle.filler
    assert prompts().needle.ask == data.needle.ask
    ship = dialogues.ship_as_json(data, "Aurora", 1900)
    assert ship.messages[0]["content"] == prompts().json.ask
