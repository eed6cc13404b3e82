"""An HTTP server on loopback that answers like vLLM, with the responses that a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Received:
    """A request as the server received it."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class VllmServer:
    """Set `status` and `chunks` for the next responses; `delay` runs before each chunk.

    A path in `errors` is answered with status 400 and this message.
    """

    url: str = ""
    status: int = 200
    chunks: list[bytes] = field(default_factory=list)
    delay: Callable[[], object] = lambda: None
    requests: list[Received] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def stream(self, *events: object) -> None:
        """Answer with a stream of these events, in the format of the OpenAI API."""
        self.chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in events]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = VllmServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: object) -> None:
            state.requests.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if message := state.errors.get(self.path):
                self.send_response(400)
                self.end_headers()
                self.wfile.write(json.dumps({"error": {"message": message}}).encode())
                return
            self.send_response(state.status)
            self.end_headers()
            for chunk in state.chunks:
                state.delay()
                self.wfile.write(chunk)
                self.wfile.flush()

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
