"""The sockets of the served Hub: one port for the API, another for large files, as on the real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from launch.hub_server.faults import Fault, Script
from launch.hub_server.repository import Repository, read_repository
from launch.hub_server.responses import changed, say_first, send_faulty, send_slice
from launch.hub_server.routes import Answer, Hub, Request, Slice


@dataclass
class Shelf:
    """Repositories of a folder, each read and hashed once, when it is first asked for."""

    folder: Path
    _read: dict[str, Repository] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, model: str) -> Repository | None:
        """The repository, or None where the folder has no such model."""
        parts = model.split("/")
        if len(parts) != 2 or any(part.startswith(".") for part in parts):
            return None
        with self._lock:
            if model not in self._read and (self.folder / model).is_dir():
                self._read[model] = read_repository(self.folder, model)
            return self._read.get(model)


@dataclass
class HubServer:
    """A running server. `url` is what HF_ENDPOINT wants; `requests` is what it was asked."""

    api: ThreadingHTTPServer
    storage: ThreadingHTTPServer
    requests: list[Request]

    @property
    def url(self) -> str:
        """The address of the API."""
        return _address(self.api)

    def wait(self) -> None:
        """Serve until interrupted."""
        while True:
            time.sleep(3600)


def serve_folder(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    faults: tuple[Fault, ...] = (),
) -> AbstractContextManager[HubServer]:
    """Serve `folder` until the block ends. Port 0 takes a free one. Raises OSError where it is taken."""
    return serve(Shelf(folder).find, host=host, port=port, token=token, faults=faults)


@contextmanager
def serve(
    find: Callable[[str], Repository | None],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    faults: tuple[Fault, ...] = (),
) -> Iterator[HubServer]:
    """Serve whatever repositories `find` gives, until the block ends."""
    requests: list[Request] = []
    storage = _listen(host, 0)
    api = _listen(host, port)
    hub = Hub(find, f"{_address(storage)}/storage", token)
    script = Script(faults)
    for server in (api, storage):
        server.RequestHandlerClass = _handler(hub, script, requests)
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
        """A client that goes away is its own business."""


def _listen(host: str, port: int) -> ThreadingHTTPServer:
    return _Listener((host, port), BaseHTTPRequestHandler)


def _address(server: ThreadingHTTPServer) -> str:
    return f"http://{server.server_address[0]!s}:{server.server_address[1]}"


def _handler(hub: Hub, script: Script, requests: list[Request]) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub, Handler.script, Handler.seen = hub, script, requests
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub
    script: Script
    seen: list[Request]

    def do_GET(self) -> None:
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.seen.append(request)
        answer = self.hub.answer(request)
        first, last = (answer.body.first, answer.body.last) if isinstance(answer.body, Slice) else (0, 0)
        fault = self.script.next(answer.where, answer.name, first, last)
        if say_first(self.connection, fault):
            self.close_connection = True
            return
        if fault is not None:
            answer = changed(answer, fault)
        self._send(answer, fault)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a request line may carry an address that is itself a permission."""

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        body = answer.body
        length = body.last - body.first if isinstance(body, Slice) else len(body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(body, bytes):
            self.wfile.write(body)
        elif fault is None:
            send_slice(self.connection, body)
        else:
            self.close_connection = send_faulty(self.connection, body, fault)
