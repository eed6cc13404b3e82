"""A server on loopback that sends any reply, also ones that no registry or index sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """A reply. `promised` is another Content-Length than the body's; without `status` the connection is closed."""

    body: bytes = b""
    media_type: str = "text/html"
    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None


NO_REPLY = Reply(status=None)


class _Handler(BaseHTTPRequestHandler):
    replies: Mapping[str, Reply]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        reply = self.replies.get(path) or self.replies.get("*", Reply(b"not found", status=404))
        if reply.status is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.media_type, **reply.headers}.items():
            self.send_header(name, value)
        length = len(reply.body) if reply.promised is None else reply.promised
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def replying(replies: Mapping[str, Reply]) -> Iterator[str]:
    """Run a server with these replies by path (`*` for all others); yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"replies": replies}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
