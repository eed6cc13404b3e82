"""Query a running server through the OpenAI API: streamed answers with separate reasoning, tool calls, health."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from errors import Failed
from launch.http.client import NoResponse, Response, request

_LOGS = "invoke logs"
_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_NO_TEMPLATE = "chat template"  # in vLLM's error for a model without one, such as a base model
_OTHER_SERVER = "invoke ps shows the address; check whether another program listens there"


@dataclass(frozen=True)
class Delta:
    """A piece of an answer. `kind` is "reasoning", "content" or "call", a complete call of a tool."""

    kind: str
    text: str


def ask(
    url: str,
    model: str,
    question: str,
    *,
    max_tokens: int = 256,
    min_tokens: int = 0,
    temperature: float | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    api_key: str = "",
    timeout: float = 300,
) -> Iterator[Delta]:
    """Stream the answer to one question, then the calls of `tools` that it makes.

    A model without a chat template continues the question as text. Raises Failed if the server rejects the question,
    exits or stops in the middle.
    """
    body = {
        "model": model,
        "max_tokens": max_tokens,
        "stream": True,
        **({"min_tokens": min_tokens} if min_tokens else {}),
        **({} if temperature is None else {"temperature": temperature}),
        **({"tools": list(tools)} if tools else {}),
    }
    calls: dict[int, list[str]] = {}
    chat = {**body, "messages": [{"role": "user", "content": question}]}
    try:
        response = _post(url, chat, api_key, timeout)
    except Failed as error:
        if _NO_TEMPLATE not in error.why:
            raise
        response = _post(url, {**body, "prompt": question}, api_key, timeout, _COMPLETIONS)
    for event in _events(response):
        yield from _deltas(event)
        _add_calls(event, calls)
    for name, arguments in calls.values():
        yield Delta("call", f"{name}({arguments})")


TOOL = {
    "type": "function",
    "function": {
        "name": "tide",
        "description": "When the tide is high at a port",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
    },
}


def calls_tool(url: str, model: str, *, api_key: str = "", timeout: float = 300) -> bool:
    """Return whether the model calls a tool of its own choice and the server's parser recognizes the call.

    Raises Failed if the server rejects the request (no parser, no automatic tool choice).
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "When is the tide high at Bergen? Use the tool."}],
        "tools": [TOOL],
        "max_tokens": 128,
    }
    answer = _post(url, body, api_key, timeout).read()
    try:
        return bool(json.loads(answer)["choices"][0]["message"].get("tool_calls"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Failed(f"{url} did not answer like vLLM", why=str(error), fix=_OTHER_SERVER) from None


def is_healthy(url: str, timeout: float = 5) -> bool:
    """Whether /health answers 200. It shows that the server listens, not that it can generate."""
    try:
        response = request("GET", f"{url}/health", timeout=timeout, direct=True)
    except Failed:
        return False
    response.close()
    return response.status == 200


def _post(url: str, body: dict[str, Any], api_key: str, timeout: float, path: str = _CHAT) -> Response:
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    data = json.dumps(body).encode()
    try:
        response = request("POST", f"{url}{path}", headers=headers, body=data, timeout=timeout, direct=True)
    except NoResponse as error:
        raise Failed(f"{url} does not answer", why=error.what, fix="invoke ps") from None
    if response.status != 200:
        why = _error_message(response.read())
        raise Failed(f"the server rejected the request (HTTP {response.status})", why=why, fix=_LOGS)
    return response


def _error_message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")


def _events(response: Response) -> Iterator[dict[str, Any]]:
    """Yield the data of a server-sent event stream. Raises Failed if it ends without [DONE]."""
    for raw in _lines(response):
        name, _, data = raw.decode(errors="replace").strip().partition(":")
        if name != "data":
            continue
        if data.strip() == "[DONE]":
            response.close()
            return
        yield _event(data)
    raise Failed("the answer ended early", why="the stream has no [DONE]", fix=_LOGS)


def _lines(response: Response) -> Iterator[bytes]:
    try:
        yield from response.lines()
    except Failed as error:
        raise Failed("the answer ended early", why=error.why or error.what, fix=_LOGS) from None


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Failed("the server did not answer like vLLM", why=data.strip()[:200], fix=_OTHER_SERVER)
    return event


def _deltas(event: dict[str, Any]) -> Iterator[Delta]:
    if "error" in event:
        error = event["error"]
        why = error.get("message") if isinstance(error, dict) else None
        raise Failed("the server failed during the answer", why=str(why or error)[:300], fix=_LOGS)
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {"content": choice.get("text")}
        # Upstream renamed `reasoning_content` to `reasoning`; both are in use.
        reasoning = delta.get("reasoning") or delta.get("reasoning_content")
        if reasoning:
            yield Delta("reasoning", reasoning)
        if delta.get("content"):
            yield Delta("content", delta["content"])


def _add_calls(event: dict[str, Any], calls: dict[int, list[str]]) -> None:
    """Add the parts of calls in an event to the names and arguments so far."""
    for choice in event.get("choices") or ():
        for part in (choice.get("delta") or {}).get("tool_calls") or ():
            call = calls.setdefault(int(part.get("index") or 0), ["", ""])
            function = part.get("function") or {}
            call[0] += function.get("name") or ""
            call[1] += function.get("arguments") or ""
