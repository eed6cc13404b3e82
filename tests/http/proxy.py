"""A proxy with a password on loopback: it forwards http requests in absolute form, and tunnels CONNECT."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

USER, PASSWORD = "fleet", "p@ss/word"
LOGIN = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
QUOTED = "p%40ss%2Fword"


@dataclass
class Proxy:
    """A running proxy. `requests` are the method and target of each accepted request; `refused` counts others."""

    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0

    def url(self, password: str = QUOTED) -> str:
        """The proxy's URL with a login, as users write it into HTTP_PROXY."""
        return f"http://{USER}:{password}@127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    upstreams: Mapping[str, int]  # ports on loopback by host name

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        url = urlsplit(self.path)
        with socket.create_connection(("127.0.0.1", self.upstreams[str(url.hostname)])) as upstream:
            path = url.path + (f"?{url.query}" if url.query else "")
            hop_by_hop = ("proxy-authorization", "connection")
            headers = {n: v for n, v in self.headers.items() if n.lower() not in hop_by_hop}
            head = "".join(
                f"{name}: {value}\r\n" for name, value in {**headers, "Connection": "close"}.items()
            )
            upstream.sendall(f"{self.command} {path} HTTP/1.1\r\n{head}\r\n".encode())
            upstream.sendall(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            _copy(upstream, self.connection)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def do_CONNECT(self) -> None:
        if not self._is_allowed():
            return
        host = self.path.rpartition(":")[0]
        with socket.create_connection(("127.0.0.1", self.upstreams[host])) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(upstream, self.connection), daemon=True)
            back.start()
            _copy(self.connection, upstream)
            back.join()

    def _is_allowed(self) -> bool:
        self.close_connection = True
        if self.headers.get("Proxy-Authorization") == LOGIN:
            self.proxy.requests.append((self.command, self.path))
            return True
        self.proxy.refused += 1
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until the source ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def running_proxy(upstreams: Mapping[str, int]) -> Iterator[Proxy]:
    """Run a proxy that reaches these hosts, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    proxy = Proxy(server.server_address[1])
    server.RequestHandlerClass = type("Handler", (_Handler,), {"proxy": proxy, "upstreams": upstreams})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
