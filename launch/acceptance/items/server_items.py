"""Items about the server: invalid requests, clients that leave, and the API key."""

from __future__ import annotations

import json
import time
from typing import Any

from launch.acceptance.client import Session
from launch.acceptance.prompts import prompts
from launch.acceptance.types import Finding, failed, passed, skipped
from launch.serving.metrics import parse_page

IDLE_WITHIN = 10.0  # seconds after a client has gone
# Paths of vLLM that its API key does not cover, or may not. GET changes nothing: 405 means that the path answers.
OTHER_PATHS = (
    *("/health", "/metrics", "/version", "/load", "/docs", "/openapi.json", "/ping"),
    *("/tokenize", "/detokenize", "/invocations", "/pause", "/resume", "/abort_requests", "/sleep", "/score"),
)
KEY_REQUIRED = (401, 403)


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
