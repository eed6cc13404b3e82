"""Read the answer of a chat completion, and a streamed one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launch.acceptance.answer import Answer, MalformedAnswer, ToolCall, parse, parse_stream


def completion(**message: Any) -> dict[str, Any]:
    return {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }


def events(*deltas: dict[str, Any], finish: str = "stop", done: bool = True) -> list[bytes]:
    chunks: list[Any] = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    lines = [f"data: {json.dumps(chunk)}\n".encode() for chunk in chunks]
    return [*lines, b"data: [DONE]\n"] if done else lines


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_parse_reads_thoughts_of_their_own_field(name: str) -> None:
    answer = parse(completion(content="15", **{name: "I add."}))
    assert (answer.thoughts, answer.text, answer.thoughts_in_content) == ("I add.", "15", False)


def test_parse_reads_thoughts_in_the_content() -> None:
    answer = parse(completion(content="<think>I add.\n</think>\n\n15"))
    assert (answer.thoughts, answer.text, answer.thoughts_in_content) == ("I add.", "15", True)
    assert answer.markup == ()


def test_parse_reads_thoughts_that_a_call_ends() -> None:
    call = {"function": {"name": "tide", "arguments": "{}"}}
    answer = parse(completion(content="<think>I call the tool.", tool_calls=[call]))
    assert (answer.thoughts, answer.text, answer.markup) == ("I call the tool.", "", ())


@pytest.mark.parametrize("content", ["I add.\n</think>\n\n15", "15 <invoke name='tide'>"])
def test_markup_names_tags_that_a_parser_should_have_consumed(content: str) -> None:
    assert len(parse(completion(content=content)).markup) == 1


@pytest.mark.parametrize(
    "message",
    [{"content": None, "reasoning": "I add."}, {"content": "<think>I add"}, {"content": "<think>I.</think>"}],
)
def test_only_reasoning_is_an_answer_without_text_and_calls(message: dict[str, Any]) -> None:
    assert parse(completion(**message)).only_reasoning


def test_only_reasoning_accepts_a_call() -> None:
    call = {"function": {"name": "tide", "arguments": '{"port": "Oslo"}'}}
    answer = parse(completion(content=None, reasoning="I call.", tool_calls=[call]))
    assert not answer.only_reasoning
    assert answer.calls[0].values() == {"port": "Oslo"}


@pytest.mark.parametrize(
    "data", [{}, [], {"choices": []}, {"choices": [{}]}, {"choices": [{"message": None}]}, "x"]
)
def test_parse_refuses_what_is_not_a_completion(data: Any) -> None:
    with pytest.raises(MalformedAnswer, match="not a chat completion"):
        parse(data)


def test_parse_stream_joins_thoughts_text_and_calls() -> None:
    first = {"tool_calls": [{"index": 0, "function": {"name": "tide", "arguments": '{"po'}}]}
    then = {"tool_calls": [{"index": 0, "function": {"arguments": 'rt": "Oslo"}'}}]}
    answer = parse_stream(events({"reasoning": "I "}, {"reasoning": "call."}, {"content": "ok"}, first, then))
    assert answer == Answer(
        reasoning="I call.", content="ok", calls=(ToolCall("tide", '{"port": "Oslo"}'),), finish="stop"
    )


def test_parse_stream_notes_a_missing_end() -> None:
    assert not parse_stream(events({"content": "ok"}, done=False)).done


@pytest.mark.parametrize("line", [b"data: {\n", b'data: {"error": {"message": "dead"}}\n', b"data: 7\n"])
def test_parse_stream_refuses_what_is_not_an_event(line: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_stream([line])
