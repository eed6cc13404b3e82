"""Ask a running server through the OpenAI API, streamed: reasoning apart from the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from errors import Failed

_LOGS = "invoke logs shows what happened to the server"
_OTHER = "invoke ps shows the address: does something else answer there?"


@dataclass(frozen=True)
class Delta:
    """A piece of the answer. `kind` is "reasoning" or "content"."""

    kind: str
    text: str


def ask(
    url: str,
    model: str,
    question: str,
    *,
    max_tokens: int = 256,
    min_tokens: int = 0,
    api_key: str = "",
    timeout: float = 300,
) -> Iterator[Delta]:
    """The streamed answer to one question. Raises Failed if the server refuses, breaks off or is gone."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "stream": True,
        **({"min_tokens": min_tokens} if min_tokens else {}),
    }
    try:
        response = _post(url, "/v1/chat/completions", body, api_key, timeout)
        for event in _events(response):
            yield from _deltas(event)
    except (OSError, HTTPException) as error:
        raise Failed(
            f"{url} does not answer",
            why=f"{type(error).__name__}: {error}",
            fix="invoke ps shows what runs; invoke logs what it says",
        ) from None


TOOL = {
    "type": "function",
    "function": {
        "name": "tide",
        "description": "When the tide is high at a port",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
    },
}


def calls_a_tool(url: str, model: str, *, api_key: str = "", timeout: float = 300) -> bool:
    """Whether the model, free to choose, called a tool and the server's parser understood it.

    Raises Failed when the server does not take the request at all (no parser, no auto tool choice).
    """
    question = "When is the tide high at Bergen? Use the tool."
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "tools": [TOOL],
        "max_tokens": 128,
    }
    try:
        answer = json.loads(_post(url, "/v1/chat/completions", body, api_key, timeout).read())
        return bool(answer["choices"][0]["message"].get("tool_calls"))
    except (OSError, HTTPException) as error:
        raise Failed(f"{url} does not answer", why=f"{type(error).__name__}: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Failed("the answer is not what vLLM speaks", why=str(error), fix=_OTHER) from None


def healthy(url: str, timeout: float = 5) -> bool:
    """Whether /health answers 200. It says that the server listens, not that it can generate."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "127.0.0.1", place.port or 80, timeout=timeout)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _post(url: str, path: str, body: dict[str, Any], api_key: str, timeout: float) -> HTTPResponse:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "127.0.0.1", place.port or 80, timeout=timeout)
    headers = {
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {api_key}"} if api_key else {}),
    }
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise Failed(
            f"the server refused the question (HTTP {response.status})", why=_message(response.read())
        )
    return response


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The data of a server-sent event stream. Raises Failed if it ends without [DONE]."""
    for raw in response:
        name, _, data = raw.decode(errors="replace").strip().partition(":")
        if name != "data":
            continue
        if data.strip() == "[DONE]":
            return
        yield _event(data)
    raise Failed("the answer broke off", fix=_LOGS)


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Failed("the answer is not what vLLM speaks", why=data.strip()[:200], fix=_OTHER)
    return event


def _deltas(event: dict[str, Any]) -> Iterator[Delta]:
    if "error" in event:
        error = event["error"]
        why = error.get("message") if isinstance(error, dict) else None
        raise Failed("the server failed in the middle of the answer", why=str(why or error)[:300], fix=_LOGS)
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        # Upstream renamed `reasoning_content` to `reasoning`; both are in use.
        thought = delta.get("reasoning") or delta.get("reasoning_content")
        if thought:
            yield Delta("reasoning", thought)
        if delta.get("content"):
            yield Delta("content", delta["content"])
