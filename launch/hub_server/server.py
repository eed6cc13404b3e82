"""The sockets of the served Hub: one port for the API, another for large files, as on the real Hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from launch.hub_server.repository import Repository, read_repository
from launch.hub_server.routes import Answer, Request, ServedHub, Slice


@dataclass
class ServedFolder:
    """The repositories in a folder; each is read and hashed at its first request."""

    folder: Path
    _repositories: dict[str, Repository] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, model: str) -> Repository | None:
        """Return the repository of a model, or None if the folder has no such model."""
        parts = model.split("/")
        if len(parts) != 2 or any(part.startswith(".") for part in parts):
            return None
        with self._lock:
            if model not in self._repositories and (self.folder / model).is_dir():
                self._repositories[model] = read_repository(self.folder, model)
            return self._repositories.get(model)


class HubHandler(BaseHTTPRequestHandler):
    """Answers one connection's requests. Tests override `respond` and `send_body` to serve faults."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: ServedHub
    requests: list[Request]

    def do_GET(self) -> None:
        """Answer a GET or HEAD."""
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.requests.append(request)
        self.respond(request, self.hub.answer(request))

    do_HEAD = do_GET

    def respond(self, request: Request, answer: Answer) -> None:
        """Send the answer to a request."""
        body = answer.body
        length = body.last - body.first if isinstance(body, Slice) else len(body)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(length), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body)

    def send_body(self, body: bytes | Slice) -> None:
        """Send bytes, or part of a file."""
        if isinstance(body, bytes):
            self.wfile.write(body)
        elif body.last > body.first:
            with body.at.open("rb") as stream:
                self.connection.sendfile(stream, body.first, body.last - body.first)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a request line may have a URL that is itself a permission."""


@dataclass
class HubServer:
    """A running server. `url` is the value for HF_ENDPOINT; `requests` are those received so far."""

    api: ThreadingHTTPServer
    storage: ThreadingHTTPServer
    requests: list[Request]

    @property
    def url(self) -> str:
        """The URL of the API."""
        return _url(self.api)

    def wait(self) -> None:
        """Serve until interrupted."""
        while True:
            time.sleep(3600)


def serve_folder(
    folder: Path, *, host: str = "127.0.0.1", port: int = 0, token: str = ""
) -> AbstractContextManager[HubServer]:
    """Serve a folder until the block ends. Port 0 takes a free one. Raises OSError if the port is taken."""
    return serve(ServedFolder(folder).find, host=host, port=port, token=token)


@contextmanager
def serve(
    find: Callable[[str], Repository | None],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    handler: type[HubHandler] = HubHandler,
) -> Iterator[HubServer]:
    """Serve the repositories that `find` returns, until the block ends."""
    requests: list[Request] = []
    storage, api = (
        _Listener((host, 0), BaseHTTPRequestHandler),
        _Listener((host, port), BaseHTTPRequestHandler),
    )
    hub = ServedHub(find, f"{_url(storage)}/storage", token)
    bound = type("BoundHandler", (handler,), {"hub": hub, "requests": requests})
    for server in (api, storage):
        server.RequestHandlerClass = bound
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield HubServer(api, storage, requests)
    finally:
        for server in (api, storage):
            server.shutdown()
            server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnects."""


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://{server.server_address[0]!s}:{server.server_address[1]}"
