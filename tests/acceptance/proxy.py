"""A proxy on loopback in front of one or more servers, which changes requests or responses as a test says."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from launch.http.client import request

Change = Callable[[dict[str, Any]], dict[str, Any]]
Keep = Callable[[int, bytes], bytes]  # (number of the line, line) -> what is sent, b"" for nothing


def unchanged(number: int, line: bytes) -> bytes:
    """Pass every line on."""
    return line


@contextmanager
def proxy(upstream: Sequence[str], change: Change = dict, keep: Keep = unchanged) -> Iterator[str]:
    """Yield the address of a proxy that sends requests to the servers in turn."""
    turns = itertools.cycle(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(None)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(ValueError, TypeError):
                raw = json.dumps(change(json.loads(raw))).encode()
            self._forward(raw)

        def _forward(self, body: bytes | None) -> None:
            headers = {"Content-Type": "application/json"}
            url = next(turns) + self.path
            answer = request(self.command, url, headers=headers, body=body, timeout=120, direct=True)
            self.send_response(answer.status)
            self.end_headers()
            try:
                for number, line in enumerate(answer.lines()):
                    self.wfile.write(keep(number, line))
            except OSError:
                answer.close()

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def dropping(number: int, line: bytes) -> bytes:
    """Drop every third event of a stream, and keep its end."""
    if not line.startswith(b"data: {") or b'"usage":{' in line or b'"finish_reason":"' in line:
        return line
    return b"" if number // 2 % 3 == 1 else line


def rewriting(number: int, line: bytes) -> bytes:
    """Change a word of the content, as a filter does; log probabilities stay as they are."""
    data = line.removeprefix(b"data: ")
    try:
        answer = json.loads(data)
        for choice in answer["choices"]:
            message = choice.get("message") or choice["delta"]
            message["content"] = (message["content"] or "").replace("ship", "s***")
    except (ValueError, LookupError, TypeError):
        return line
    return line[: len(line) - len(data)] + json.dumps(answer).encode() + b"\n"


def greedy(body: dict[str, Any]) -> dict[str, Any]:
    """Replace the temperature of a request by 0."""
    return {**body, "temperature": 0}
