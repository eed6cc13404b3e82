"""A server on loopback that answers what one tells it to, for those who ask what a registry or an index says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Says:
    """An answer; `promised` is its Content-Length where that is not so, None of `status` hangs up instead."""

    body: bytes = b""
    kind: str = "text/html"
    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None


HANGS_UP = Says(status=None)


class _Handler(BaseHTTPRequestHandler):
    answers: Mapping[str, Says]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        said = self.answers.get(path) or self.answers.get("*", Says(b"not found", status=404))
        if said.status is None:
            self.close_connection = True
            return
        self.send_response(said.status)
        for name, value in {"Content-Type": said.kind, **said.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body) if said.promised is None else said.promised))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def answering(answers: Mapping[str, Says]) -> Iterator[str]:
    """The server's address. `answers` maps a path to what it says, `*` every other one."""
    handler = type("Handler", (_Handler,), {"answers": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
