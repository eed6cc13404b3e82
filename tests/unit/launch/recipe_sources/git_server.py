"""Serve Git repositories by https with git's own http-backend, on a free loopback port and with a self-made CA."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from tests.registry.serving import certificate

BACKEND_SECONDS = 30
# git's repositories belong to the user that runs the tests, or to root in a container.
CONFIG = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}


@dataclass
class GitServer:
    """A running server: its port, its certificate, the paths that were asked for, and what it answers instead."""

    folder: Path
    certificate: Path
    port: int = 0
    requests: list[str] = field(default_factory=list)
    redirect: str = ""
    password: bool = False

    def url(self, repository: str) -> str:
        return f"https://127.0.0.1:{self.port}/{repository}"


class Backend(BaseHTTPRequestHandler):
    """Run `git http-backend` for a request, as a web server does with a CGI program."""

    server_state: ClassVar[GitServer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        state = self.server_state
        state.requests.append(self.path)
        if state.redirect or state.password:
            self.refuse()
            return
        length = int(self.headers.get("Content-Length") or 0)
        done = subprocess.run(
            ["git", "http-backend"],
            env=self.variables(),
            input=self.rfile.read(length),
            capture_output=True,
            timeout=BACKEND_SECONDS,
            check=False,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")]
        headers = {name: value for name, _, value in lines}
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self) -> None:
        """Redirect, or ask for a password."""
        state = self.server_state
        self.send_response(302 if state.redirect else 401)
        self.send_header("Location", state.redirect)
        self.send_header("WWW-Authenticate", 'Basic realm="recipes"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def variables(self) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            "PATH": os.environ["PATH"],
            **CONFIG,
            "GIT_PROJECT_ROOT": str(self.server_state.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_ADDR": self.client_address[0],
        }

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path, certificates: Path) -> Iterator[GitServer]:
    """Serve the repositories of a folder while the block runs."""
    certificate(certificates)
    state = GitServer(folder, certificates / "cert.pem")
    handler = type("Handler", (Backend,), {"server_state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
