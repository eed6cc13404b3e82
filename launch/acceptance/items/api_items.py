"""Items about options of a request: stop strings, log probabilities, structured output."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from launch.acceptance.answer import CLOSE, Answer
from launch.acceptance.client import HttpError, Session
from launch.acceptance.items.text_items import GREEDY, short
from launch.acceptance.prompts import prompts
from launch.acceptance.types import Finding, failed, passed, skipped


def stop(session: Session) -> Finding:
    """Ask again with a word of the answer as a stop string."""
    question = prompts().facts[-1].ask
    plain = session.chat(question, **GREEDY)
    word = stop_word(plain)
    if not word:
        return skipped(f"the answer has no word that can end it: '{short(plain.text)}'")
    cut = session.chat(question, stop=[word], **GREEDY)
    if word in cut.text or cut.finish != "stop" or len(cut.text) >= len(plain.text):
        return failed("stop", f"stop='{word}' ends with '{cut.finish}': '{short(cut.text)}'")
    return passed(f"stop='{word}' shortens '{short(plain.text)}' to '{short(cut.text)}'")


def stop_word(answer: Answer) -> str:
    """Return a word in the second half of the text that does not occur before; "" if there is none."""
    words = re.findall(r"\w+", answer.text)
    for word in words[len(words) // 2 :]:
        before = answer.thoughts + answer.text[: answer.text.index(word)]
        if word not in before and answer.text.index(word) > 0:
            return str(word)
    return ""


def logprobs(session: Session) -> Finding:
    """Ask for log probabilities."""
    try:
        answer = session.chat(prompts().facts[0].ask, max_tokens=16, logprobs=True, top_logprobs=3, **GREEDY)
    except HttpError as error:
        return failed("logprobs", str(error))
    return judge_logprobs(answer.logprobs)


def judge_logprobs(tokens: Sequence[Any]) -> Finding:
    """Judge the log probabilities of greedy tokens and of their alternatives."""
    if not tokens:
        return failed("logprobs", "the answer has no log probabilities")
    for token in tokens:
        value, top = (
            float(token["logprob"]),
            [float(one["logprob"]) for one in token.get("top_logprobs") or ()],
        )
        if value > 1e-3 or any(not math.isfinite(one) for one in top[:1]):
            return failed("logprobs", f"the log probability of '{token['token']}' is {value}")
        if len(top) != 3 or sum(math.exp(one) for one in top) > 1.01:
            return failed("logprobs", f"the alternatives of '{token['token']}' are {top}")
        if value < max(top) - 1e-3:
            return failed("logprobs", f"'{token['token']}' is not the most likely token, with temperature 0")
    return passed(f"{len(tokens)} tokens with 3 alternatives each")


def tokens(session: Session) -> Finding:
    """Compare the text of an answer with the text of its tokens."""
    answer = session.chat(prompts().long[0], logprobs=True, **GREEDY)
    if not answer.logprobs:
        return skipped("the server returns no log probabilities, so the tokens of the answer are unknown")
    return judge_tokens(answer)


def judge_tokens(answer: Answer) -> Finding:
    """Judge whether the text occurs in its tokens. A token may end within a character, so bytes are joined."""
    parts = [bytes(token.get("bytes") or str(token["token"]).encode()) for token in answer.logprobs]
    written = b"".join(parts).decode(errors="replace")
    if CLOSE in written and not answer.thoughts:
        return failed("rewritten", "the tokens of the answer contain thoughts, and the answer has none")
    if answer.text in written:
        return passed(f"the text of the answer is that of its {len(parts)} tokens")
    same = next((i for i in range(len(answer.text)) if answer.text[: i + 1] not in written), 0)
    return failed(
        "rewritten", f"the tokens of the answer do not contain '{short(answer.text[max(0, same - 20) :])}'"
    )


def json_schema(session: Session) -> Finding:
    """Ask for an answer that follows a JSON schema."""
    asked = prompts().json
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": asked.schema, "strict": True},
    }
    try:
        answer = session.chat(asked.ask, response_format=wanted, **GREEDY)
    except HttpError as error:
        return failed("schema", str(error))
    return judge_json(answer)


def judge_json(answer: Answer) -> Finding:
    """Judge an answer that must follow the JSON schema of the prompts."""
    from jsonschema import Draft202012Validator

    try:
        value = json.loads(answer.text)
    except ValueError:
        return failed("schema", f"the answer is not JSON: '{short(answer.text or answer.thoughts)}'")
    error = next(Draft202012Validator(prompts().json.schema).iter_errors(value), None)
    if error:
        return failed("schema", f"{error.message[:80]}: '{short(answer.text)}'")
    return passed(f"the answer follows its JSON schema: '{short(answer.text)}'")
