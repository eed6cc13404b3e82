"""Items about tools: called when they should be and only then, with valid arguments, streamed, over several turns."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from launch.acceptance.answer import Answer
from launch.acceptance.client import HttpError, Session
from launch.acceptance.items.reasoning_items import stream_fault
from launch.acceptance.items.text_items import GREEDY, short
from launch.acceptance.prompts import Trigger, prompts
from launch.acceptance.tool_metrics import Counts, call_error, count
from launch.acceptance.types import Finding, failed, passed, skipped

MATCH_RATE = 0.9
SIMILARITY = 0.9
LONGER = "The user wants to know more, so that a much longer thought stands here than before. "


def refusal(session: Session) -> str:
    """Return why the server accepts no tools; "" if it does."""
    try:
        session.chat("Hello", tools=prompts().offered, tool_choice="auto", max_tokens=1)
    except HttpError as error:
        if error.status in (400, 404, 422, 501):
            return error.message
        raise
    return ""


def trigger(session: Session) -> Finding:
    """Ask questions of which some need a tool."""
    asked = prompts().triggers
    bodies = [{"asked": one.ask, "tools": prompts().offered} for one in asked]
    return judge_trigger(asked, session.chat_all(bodies, 4))


def judge_trigger(asked: Sequence[Trigger], answers: Sequence[Answer]) -> Finding:
    """Judge whether tools are called if, and only if, a question needs one."""
    counts = count((bool(one.call), bool(answer.calls)) for one, answer in zip(asked, answers, strict=True))
    metrics = {
        "tool_calls_match_rate": counts.match_rate,
        "tool_calls_trigger_similarity": counts.similarity,
    }
    for answer in answers:
        if answer.markup:
            return failed("markup", f"'{answer.markup[0]}' in the text: '{short(answer.text)}'", **metrics)
    if counts.match_rate < MATCH_RATE or counts.similarity < SIMILARITY:
        cause, evidence = _mismatch(counts, asked, answers)
        return failed(cause, evidence, **metrics)
    right = counts.tool_calls_finish_tool_calls + counts.stop_finish_stop
    return passed(f"{right} of {len(asked)} questions call a tool if, and only if, they need one", **metrics)


def _mismatch(counts: Counts, asked: Sequence[Trigger], answers: Sequence[Answer]) -> tuple[str, str]:
    missing = counts.tool_calls_finish_stop >= counts.stop_finish_tool_calls
    one, answer = next(
        pair
        for pair in zip(asked, answers, strict=True)
        if bool(pair[0].call) == missing != bool(pair[1].calls)
    )
    if missing:
        return "no-calls", f"'{one.ask}' was answered without a call: '{short(answer.text)}'"
    return "too-many-calls", f"'{one.ask}' called {answer.calls[0].name}"


def schema(session: Session) -> Finding:
    """Ask the questions that need a tool, and judge the calls."""
    asked = [one for one in prompts().triggers if one.call]
    answers = session.chat_all([{"asked": one.ask, "tools": prompts().offered, **GREEDY} for one in asked], 4)
    return judge_schema(asked, answers)


def judge_schema(asked: Sequence[Trigger], answers: Sequence[Answer]) -> Finding:
    """Judge the names and the arguments of calls."""
    made = [(one, call) for one, answer in zip(asked, answers, strict=True) for call in answer.calls]
    if not made:
        return failed("no-calls", f"'{asked[0].ask}' was answered '{short(answers[0].text)}'")
    errors = [(one, error) for one, call in made if (error := call_error(call, prompts().tools))]
    metrics = {"tool_calls_schema_accuracy": 1 - len(errors) / len(made)}
    if errors:
        return failed("arguments", f"'{errors[0][0].ask}': {errors[0][1]}", **metrics)
    values = [(one, call) for one, call in made if not _equal(one.arguments, call.values())]
    if len(values) > len(made) // 4:
        one, call = values[0]
        return failed("arguments", f"'{one.ask}' called {call.name} with {short(call.arguments)}", **metrics)
    return passed(f"{len(made)} calls fit the schemas of their tools", **metrics)


def _equal(expected: dict[str, Any], values: dict[str, Any]) -> bool:
    """Tell whether a call has the expected values; a city may be written with its country."""
    return all(
        str(value).lower() in str(values.get(name, "")).lower()
        if isinstance(value, str)
        else values.get(name) == value
        for name, value in expected.items()
    )


def streamed(session: Session) -> Finding:
    """Make the same call with and without a stream."""
    for one in [one for one in prompts().triggers if one.call][1:3]:
        plain = session.chat(one.ask, tools=prompts().offered, **GREEDY)
        if not plain.calls:
            return failed("no-calls", f"'{one.ask}' was answered without a call: '{short(plain.text)}'")
        if error := call_error(plain.calls[0], prompts().tools):
            return failed("arguments", f"'{one.ask}': {error}")
        if found := stream_fault(session, one.ask, plain, tools=prompts().offered):
            return failed("stream", f"'{one.ask}': {found}")
    return passed("streamed calls equal those that are not streamed")


def parallel(session: Session) -> Finding:
    """Ask a question that two calls answer."""
    asked = prompts().parallel
    return judge_parallel(session.chat(asked.ask, tools=prompts().offered, **GREEDY))


def judge_parallel(answer: Answer) -> Finding:
    """Judge two calls in one answer."""
    asked = prompts().parallel
    if not answer.calls:
        cause = "markup" if answer.markup else "no-calls"
        return failed(cause, f"'{asked.ask}' was answered without a call: '{short(answer.text)}'")
    for call in answer.calls:
        if error := call_error(call, prompts().tools):
            return failed("arguments", f"'{asked.ask}': {error}")
    if len(answer.calls) == 1:
        return skipped("the model calls one tool at a time")
    name, expected = next(iter(asked.each.items()))
    given = " ".join(str(call.values().get(name)) for call in answer.calls)
    if missing := [value for value in expected if value not in given]:
        return failed("arguments", f"'{asked.ask}': no call with '{missing[0]}', but {given}")
    return passed(f"{len(answer.calls)} calls in one answer")


def conversation(thought: str, in_content: bool) -> list[dict[str, Any]]:
    """Return a conversation in which a tool was called and has answered."""
    told = prompts().result
    call = {"name": told.call, "arguments": json.dumps(told.arguments)}
    turn: dict[str, Any] = {
        "role": "assistant",
        "content": f"<think>\n{thought}\n</think>\n\n" if in_content else "",
        "tool_calls": [{"id": "call-1", "type": "function", "function": call}],
    }
    if not in_content:
        # Servers read one of these names: upstream renamed the field.
        turn |= {"reasoning": thought, "reasoning_content": thought}
    result = {"role": "tool", "tool_call_id": "call-1", "content": told.result}
    return [{"role": "user", "content": told.ask}, turn, result]


def result(session: Session) -> Finding:
    """Pass the result of a tool back."""
    told = prompts().result
    in_content = _keeps_thoughts(session)
    answer = session.chat(conversation(told.thought, in_content), tools=prompts().offered, **GREEDY)
    if answer.calls:
        return failed("result-ignored", f"the tool is called again: {answer.calls[0].arguments[:60]}")
    if not re.search(told.expect, answer.text):
        return failed("result-ignored", f"the answer after the result is '{short(answer.text)}'")
    return passed(f"the answer uses the result: '{short(answer.text)}'")


def thinking(session: Session) -> Finding:
    """Pass thoughts back, short and long: the longer must make a longer prompt."""
    told, in_content = prompts().result, _keeps_thoughts(session)
    lengths = []
    for thought in (told.thought, told.thought + " " + LONGER * 4):
        body: dict[str, Any] = {"tools": prompts().offered, "max_tokens": 1}
        lengths.append(session.chat(conversation(thought, in_content), **body).prompt_tokens)
    if not all(lengths):
        return skipped("the server reports no usage")
    if lengths[1] <= lengths[0]:
        return failed(
            "thinking-dropped", f"{lengths[0]} tokens in the prompt, with or without a long thought"
        )
    return passed(f"a longer thought makes the prompt longer: {lengths[0]} and {lengths[1]} tokens")


def _keeps_thoughts(session: Session) -> bool:
    """Whether this server returns the thoughts in the content, so that clients pass them back there."""
    return session.chat(prompts().facts[0].ask, **GREEDY).thoughts_in_content
