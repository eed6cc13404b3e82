"""The sockets of the served Hub."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from launch.hub_server.catalog import Catalog
from launch.hub_server.repository import FileState, ServedModel
from launch.hub_server.routes import Answer, Request, ServedHub, Slice, changed

PIECE = 1 << 20
LARGEST_BODY = 1 << 20  # bytes of a request; a list of paths has less
TIMEOUT = 600.0  # seconds without a request, or without a byte taken, after which a connection is closed


class FileChanged(ConnectionAbortedError):
    """A file is no longer the listed one; the rest of it is not sent."""


class HubHandler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT
    hub: ServedHub

    def do_GET(self) -> None:
        """Answer a GET, HEAD or POST."""
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > LARGEST_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self.send_error(413)
            return
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(int(length)))
        self.respond(request, self.hub.answer(request))

    do_HEAD = do_POST = do_GET

    def respond(self, request: Request, answer: Answer) -> None:
        """Send the answer to a request."""
        if isinstance(answer.body, Slice) and not _is_current(answer.body):
            answer = changed(answer.body)
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
            send_file(self.connection, body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a request line may have a URL that is itself a permission."""


def send_file(connection: socket.socket, part: Slice) -> None:
    """Send part of a file. Raises FileChanged before a byte that was written after the file was listed.

    Not with `sendfile`: it hands over pages of the file, and a later write to the file would change what is sent.
    """
    buffer = memoryview(bytearray(min(PIECE, part.last - part.first)))
    with part.at.open("rb", buffering=0) as stream:
        position = part.first
        while position < part.last:
            count = os.preadv(stream.fileno(), [buffer[: part.last - position]], position)
            if not count or part.state not in (None, FileState.of(os.fstat(stream.fileno()))):
                raise FileChanged(str(part.at))
            connection.sendall(buffer[:count])
            position += count


def _is_current(part: Slice) -> bool:
    try:
        return part.state in (None, FileState.of(part.at.stat()))
    except OSError:
        return False


@dataclass
class HubServer:
    """A running server. `url` is the value for HF_ENDPOINT."""

    api: ThreadingHTTPServer

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
    """Serve a folder or a cache until the block ends. Port 0 takes a free one. Raises OSError if the port is taken."""
    return serve_catalog(Catalog(folder).read_all(), host=host, port=port, token=token)


def serve_catalog(
    catalog: Catalog, *, host: str = "127.0.0.1", port: int = 0, token: str = ""
) -> AbstractContextManager[HubServer]:
    """Serve the models of a catalog until the block ends. Raises OSError if the port is taken."""
    return serve(catalog.find, host=host, port=port, token=token, names=catalog.names)


@contextmanager
def serve(
    find: Callable[[str], ServedModel | None],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    names: Callable[[], Iterable[str]] = tuple,
    storage: str = "",
    handler: type[HubHandler] = HubHandler,
) -> Iterator[HubServer]:
    """Serve the models that `find` returns, until the block ends.

    `storage` is the URL of another host for large files. `handler` answers the requests.
    """
    api = _Listener((host, port), BaseHTTPRequestHandler)
    api.RequestHandlerClass = type(
        "BoundHandler", (handler,), {"hub": ServedHub(find, storage, token, names)}
    )
    threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield HubServer(api)
    finally:
        api.shutdown()
        api.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnects; one whose file was changed was disconnected here."""


def _url(server: ThreadingHTTPServer) -> str:
    host = str(server.server_address[0])
    return f"http://{f'[{host}]' if ':' in host else host}:{server.server_address[1]}"
