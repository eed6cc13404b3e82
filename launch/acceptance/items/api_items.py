"""Items about the API: stop strings, log probabilities, structured output, sampling, limits, cancel, API key."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from typing import Any

from launch.acceptance.answer import Answer, MalformedAnswer
from launch.acceptance.client import HttpError, Session
from launch.acceptance.items.text_items import GREEDY, short
from launch.acceptance.prompts import prompts
from launch.acceptance.types import Finding, failed, passed, skipped
from launch.serving.metrics import parse_page

SAMPLES = 8
SEEDS = 4
HOT = 3.0  # a temperature at which the limits top_k and top_p decide many tokens
IDLE_WITHIN = 10.0  # seconds after a client has gone
# Paths of vLLM that its API key does not cover, or may not. GET changes nothing: 405 means that the path answers.
OTHER_PATHS = (
    *("/health", "/metrics", "/version", "/load", "/docs", "/openapi.json", "/ping"),
    *("/tokenize", "/detokenize", "/invocations", "/pause", "/resume", "/abort_requests", "/sleep", "/score"),
)
KEY_REQUIRED = (401, 403)


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


def sampling(session: Session) -> Finding:
    """Ask for a random number with temperature 1, and compare the defaults with the checkpoint's."""
    answers = [session.chat(prompts().chance, temperature=1.0, seed=seed).whole for seed in range(SAMPLES)]
    different = len(set(answers))
    if different == 1:
        return failed("temperature", f"{SAMPLES} seeds with temperature 1: always '{short(answers[0])}'")
    expected = {key: value for key, value in session.target.sampling.items() if key != "temperature"}
    found = f"{different} different answers with {SAMPLES} seeds"
    if not expected:
        return passed(f"{found}; the defaults of the checkpoint are unknown")
    return judge_defaults(found, expected, *_hot_answers(session, expected))


def _hot_answers(session: Session, expected: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Return answers at a high temperature: by default, with the expected limits, and without limits."""
    neutral = {"top_p": 1.0, "top_k": -1, "min_p": 0.0}
    sent: list[dict[str, Any]] = [{}, expected, {key: neutral[key] for key in expected if key in neutral}]
    made = [
        [
            session.chat(prompts().odd[0], temperature=HOT, seed=seed, max_tokens=24, **limits).whole
            for seed in range(SEEDS)
        ]
        for limits in sent
    ]
    return made[0], made[1], made[2]


def judge_defaults(
    found: str, expected: dict[str, Any], default: list[str], limited: list[str], free: list[str]
) -> Finding:
    """Judge whether the answers by default are those with the expected limits."""
    shown = ", ".join(f"{key} {value}" for key, value in expected.items())
    if limited == free:
        return passed(f"{found}; {shown} make no difference here")
    if default == limited:
        return passed(f"{found}; {shown} are the defaults")
    if default == free:
        return failed("defaults", f"by default the answers are those without {shown}")
    return passed(f"{found}; equal seeds give different answers, so the defaults cannot be told")


def limits(session: Session) -> Finding:
    """Send requests that the server must reject, and one that it must answer."""
    chat = "/v1/chat/completions"
    question = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    named = {"model": session.target.model, **question}
    requests: dict[str, tuple[Any, tuple[int, ...]]] = {
        "an unknown model": ({"model": "slipway/no-such-model", **question}, (404, 400)),
        "a negative max_tokens": ({**named, "max_tokens": -1}, (400, 422)),
        "messages that are not a list": ({**named, "messages": 7}, (400, 422)),
    }
    if length := session.target.max_model_len:
        long = [{"role": "user", "content": "ship " * (length + 64)}]
        requests["a context that is too long"] = ({**named, "messages": long}, (400, 413))
    for what, (body, right) in requests.items():
        status = session.status("POST", chat, json.dumps(body).encode())
        if status not in right:
            return failed("limits", f"{what}: HTTP {status} instead of {right[0]}")
    if (status := session.status("POST", chat, b'{"model": ')) not in (400, 422):
        return failed("limits", f"a body that is not JSON: HTTP {status} instead of 400")
    session.chat("Hello", max_tokens=1)
    unknown = "" if length else "; the longest context is unknown"
    return passed(f"{len(requests) + 1} invalid requests are rejected with 400 or 404{unknown}")


def cancel(session: Session) -> Finding:
    """Leave in the middle of a long answer, and look whether the server stops working on it."""
    body = {
        "model": session.target.model,
        "messages": [{"role": "user", "content": prompts().long[0]}],
        "max_tokens": session.target.max_model_len * 3 // 4 or 8192,
        "ignore_eos": True,
        "stream": True,
    }
    response = session.send("POST", "/v1/chat/completions", json.dumps(body).encode())
    if response.status != 200:
        return skipped(f"the server accepts no endless answer: HTTP {response.status}")
    next(iter(response.lines()), None)
    response.close()
    running = _running(session)
    until = time.monotonic() + IDLE_WITHIN
    while running and time.monotonic() < until:
        time.sleep(0.1)
        running = _running(session)
    if running:
        return failed("cancel", f"{running} requests still run {IDLE_WITHIN:.0f} s after the client has gone")
    session.chat("Hello", max_tokens=1)
    return passed("the server answers" if running is None else "the server is idle after the client has gone")


def _running(session: Session) -> int | None:
    """Return the number of running requests; None if the server does not report it."""
    response = session.send("GET", "/metrics")
    page = response.read().decode(errors="replace")
    return (
        parse_page(page).running if response.status == 200 and "vllm:num_requests_running" in page else None
    )


def api_key(session: Session) -> Finding:
    """Send requests without the API key and with a wrong one."""
    if not session.target.key:
        return skipped("the server requires no API key")
    chat = json.dumps(
        {"model": session.target.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    )
    for what, key in (("without a key", ""), ("with a wrong key", "sk-wrong")):
        for method, path, body in (
            ("GET", "/v1/models", None),
            ("POST", "/v1/chat/completions", chat.encode()),
        ):
            if (status := session.status(method, path, body, key)) not in KEY_REQUIRED:
                return failed("open", f"{method} {path} {what}: HTTP {status} instead of 401")
    free = [path for path in OTHER_PATHS if session.status("GET", path, key="") not in (*KEY_REQUIRED, 404)]
    return passed(f"/v1 requires the key; without it answer: {', '.join(free) or 'no other paths'}")


def malformed(error: MalformedAnswer) -> Finding:
    """Return the finding for a response that does not have the form of the OpenAI API."""
    return failed("malformed", str(error))
