"""Send the requests of an acceptance test, each within the time that its item has left."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Semaphore
from typing import Any

from launch.acceptance.answer import Answer, MalformedAnswer, parse, parse_stream
from launch.deadline import start
from launch.http.client import Response, request

Message = Mapping[str, Any]


class OutOfTime(Exception):
    """The item has no time left for another request."""


class HttpError(Exception):
    """The server answered a valid request with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status, self.message = status, message


@dataclass(frozen=True)
class Target:
    """The server under test. `sampling` holds the defaults that its checkpoint asks for, if they are known."""

    url: str  # without /v1
    model: str
    key: str = ""
    max_model_len: int = 0  # 0: unknown
    sampling: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Session:
    """Requests to one server during one item; `deadline` is on the clock of time.monotonic."""

    target: Target
    deadline: float

    @property
    def max_tokens(self) -> int:
        """The longest answer that is requested: enough for thoughts, and never more than half of the context."""
        return min(4096, self.target.max_model_len // 2 or 4096)

    def chat(self, asked: str | Sequence[Message], **body: Any) -> Answer:
        """Return the answer to a question or a conversation. Raises HttpError, MalformedAnswer or Failed."""
        return parse(self.post("/v1/chat/completions", self._body(asked, body)))

    def stream(self, asked: str | Sequence[Message], **body: Any) -> Answer:
        """Return the streamed answer to a question or a conversation."""
        sent = self._body(asked, {"stream": True, "stream_options": {"include_usage": True}, **body})
        response = self._checked(self.send("POST", "/v1/chat/completions", json.dumps(sent).encode()))
        return parse_stream(self._timed(response))

    def chat_all(self, bodies: Sequence[dict[str, Any]], concurrency: int) -> list[Answer]:
        """Return the answers to several requests, so many at a time, in their order."""
        slots = Semaphore(concurrency)

        def one(body: dict[str, Any]) -> Answer:
            with slots:
                return self.chat(**body)

        # Not a ThreadPoolExecutor: at its end the program would wait for a request that hangs.
        futures = [start(partial(one, body)) for body in bodies]
        return [future.result() for future in futures]

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON of a successful response. Raises HttpError or MalformedAnswer."""
        response = self._checked(self.send("POST", path, json.dumps(body).encode()))
        return _json(response.read())

    def send(self, method: str, path: str, body: bytes | None = None, key: str | None = None) -> Response:
        """Send any request; `key` replaces the API key, "" sends no key. Raises OutOfTime or Failed."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if secret := self.target.key if key is None else key:
            headers["Authorization"] = f"Bearer {secret}"
        return request(
            method, f"{self.target.url}{path}", headers=headers, body=body, timeout=left, direct=True
        )

    def status(self, method: str, path: str, body: bytes | None = None, key: str | None = None) -> int:
        """Return the status of a response whose body does not matter."""
        response = self.send(method, path, body, key)
        response.close()
        return response.status

    def _body(self, asked: str | Sequence[Message], body: Mapping[str, Any]) -> dict[str, Any]:
        messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)
        return {"model": self.target.model, "messages": messages, "max_tokens": self.max_tokens, **body}

    def _timed(self, response: Response) -> Any:
        for line in response.lines():
            if time.monotonic() > self.deadline:
                response.close()
                raise OutOfTime
            yield line

    def _checked(self, response: Response) -> Response:
        if response.status != 200:
            raise HttpError(response.status, _message(response.read()))
        return response


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise MalformedAnswer(f"not JSON: {body[:120].decode(errors='replace')}") from None


def _message(body: bytes) -> str:
    """Return the message of an error response as one line."""
    try:
        data = json.loads(body)
        error = data.get("error", data)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        text = body.decode(errors="replace")
    return " ".join(text.split())[:200]
