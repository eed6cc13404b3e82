"""Items about thoughts and streams: thoughts apart from the answer, streams complete, the Responses API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from launch.acceptance.answer import CLOSE, OPEN, Answer
from launch.acceptance.client import HttpError, Session
from launch.acceptance.items.text_items import GREEDY, short
from launch.acceptance.prompts import prompts
from launch.acceptance.types import Finding, failed, passed, skipped


def reasoning(session: Session) -> Finding:
    """Ask questions and look for thoughts in the wrong place."""
    questions = [fact.ask for fact in prompts().facts]
    answers = session.chat_all([{"asked": question} for question in questions], 4)
    return judge_reasoning(answers)


def judge_reasoning(answers: Sequence[Answer]) -> Finding:
    """Judge where the thoughts are. Both parsers are right: in a field of their own, or complete in the content."""
    only = sum(answer.only_reasoning and answer.finish != "length" for answer in answers)
    metrics = {"error_only_reasoning_rate": only / len(answers)}
    for answer in answers:
        if answer.only_reasoning:
            return failed(
                "only-reasoning", f"only thoughts: '{short(answer.thoughts or answer.content)}'", **metrics
            )
        if stray := [tag for tag in answer.markup if tag in (OPEN, CLOSE)]:
            return failed("parser", f"'{stray[0]}' in the text: '{short(answer.text)}'", **metrics)
        if answer.reasoning and answer.thoughts_in_content:
            return failed("parser", "the thoughts are in a field of their own and in the content", **metrics)
    kept = sum(answer.thoughts_in_content for answer in answers)
    apart = sum(bool(answer.reasoning) for answer in answers)
    if kept and apart:
        return failed(
            "parser", f"{kept} answers with thoughts in the content, {apart} with a field", **metrics
        )
    if not kept and not apart:
        return Finding("skipped", "the model returns no thoughts", metrics=metrics)
    place = "in the content, as with minimax_m2_append_think" if kept else "in a field of their own"
    return passed(f"the thoughts are {place}", **metrics)


def messages(session: Session) -> Finding:
    """Send conversations of growing length: each message must make the prompt longer."""
    question = {"role": "user", "content": prompts().facts[0].ask}
    # Long, because it replaces the system message that some templates add by themselves.
    system = {"role": "system", "content": " ".join(prompts().needle.filler)}
    turn = [{"role": "user", "content": prompts().facts[2].ask}, {"role": "assistant", "content": "Paris."}]
    sent = {
        "a question": [question],
        "a system message": [system, question],
        "a turn": [system, *turn, question],
    }
    lengths = {what: session.chat(one, max_tokens=1).prompt_tokens for what, one in sent.items()}
    return judge_lengths(lengths)


def judge_lengths(lengths: dict[str, int]) -> Finding:
    """Judge the lengths of prompts, each of which has one part more than the one before."""
    if not all(lengths.values()):
        return skipped("the server reports no usage")
    for (_, before), (what, after) in pairwise(lengths.items()):
        if after <= before:
            return failed("messages", f"{what} more leaves the prompt at {after} tokens (before: {before})")
    return passed(f"every message makes the prompt longer: {', '.join(map(str, lengths.values()))} tokens")


def stream(session: Session) -> Finding:
    """Ask the same question with and without a stream."""
    for question in (prompts().facts[0].ask, prompts().long[0]):
        if found := stream_fault(session, question, session.chat(question, **GREEDY)):
            return failed("stream", f"'{question}': {found}")
    return passed("a streamed answer equals one that is not streamed, with usage and [DONE]")


def stream_fault(session: Session, question: str, plain: Answer, **body: Any) -> str:
    """Ask again with a stream; describe what the stream lacks or changes, "" if nothing."""
    streamed = session.stream(question, **body, **GREEDY)
    if found := incomplete(plain, streamed):
        return found
    if plain.whole == streamed.whole:
        return ""
    again = session.chat(question, **body, **GREEDY)
    if again.whole != plain.whole and similar(plain, streamed):  # rounding decides between near ties on a GPU
        return ""
    return f"'{short(plain.whole)}' without, '{short(streamed.whole)}' with a stream"


def incomplete(plain: Answer, streamed: Answer) -> str:
    """Describe which events a stream lacks; "" if none."""
    if not streamed.done:
        return "the stream has no [DONE]"
    if not streamed.finish:
        return "the stream has no finish_reason"
    if plain.completion_tokens and not streamed.completion_tokens:
        return "the stream has no usage, although stream_options asks for it"
    return ""


def similar(plain: Answer, streamed: Answer) -> bool:
    """Whether two texts start alike and have about as many characters a token: lost events make a text shorter."""
    per_token = len(plain.whole) / max(plain.completion_tokens, 1)
    length = len(streamed.whole) / max(streamed.completion_tokens, 1)
    return plain.whole[:24] == streamed.whole[:24] and length > 0.75 * per_token


def responses(session: Session) -> Finding:
    """Ask a question through the Responses API."""
    fact = prompts().facts[0]
    body = {
        "model": session.target.model,
        "input": fact.ask,
        "max_output_tokens": session.max_tokens,
        **GREEDY,
    }
    try:
        data = session.post("/v1/responses", body)
    except HttpError as error:
        if error.status in (404, 405, 501):
            return skipped("the server has no Responses API")
        return failed("responses", str(error))
    if session.chat(fact.ask, **GREEDY).thoughts_in_content:
        return skipped(
            "thoughts stay in the content; the Responses API is for servers planned with --responses-api"
        )
    return judge_responses(data, fact.expect)


def judge_responses(data: Any, expect: str) -> Finding:
    """Judge the JSON of a response: its status, its message and its thoughts."""
    try:
        items = data["output"]
        texts = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
        status = data["status"]
    except (LookupError, TypeError) as error:
        return failed("responses", f"the response lacks {error}")
    answer = "".join(texts)
    if status != "completed" or data.get("object") != "response":
        return failed("responses", f"status '{status}', object '{data.get('object')}'")
    if not texts or not answer.strip():
        return failed("responses", "the response has no message")
    if OPEN in answer or CLOSE in answer:
        return failed("responses", f"thoughts in the message: '{short(answer)}'")
    if not re.search(expect, answer):
        return failed("responses", f"the message is '{short(answer)}'")
    thoughts = sum(item["type"] == "reasoning" for item in items)
    return passed(f"a message, and thoughts in {thoughts} items of their own")
