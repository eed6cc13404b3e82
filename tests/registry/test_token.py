"""Token login as at Docker Hub and GitHub, with a stand-in that sends their challenges."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from errors import Failed
from images.registry.client import Registry
from images.registry.manifest import MANIFESTS, digest_of

PART = {"digest": digest_of(b"{}"), "size": 2}
MANIFEST = json.dumps({"schemaVersion": 2, "config": PART, "layers": []}).encode()
LOGIN = base64.b64encode(b"me:secret").decode()


class TokenRegistry(BaseHTTPRequestHandler):
    """Requires a token for the scope of each request; its service requires the login except for pulls."""

    port: int
    requests: ClassVar[list[tuple[str, str]]]  # scope, or method of an upload, and the credentials

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/token":
            self._token(parse_qs(parts.query)["scope"][0])
        elif self._allowed("pull"):
            self._answer(200, MANIFEST, **{"Content-Type": MANIFESTS[0]})

    def do_POST(self) -> None:
        if self._allowed("pull,push"):
            self._answer(202, b"", Location="/upload?state=1")

    def do_HEAD(self) -> None:
        if self._allowed("pull"):
            self._answer(404, b"")

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.command, self.headers.get("Authorization", "")))
        self._answer(201, b"")

    def _token(self, scope: str) -> None:
        login = self.headers.get("Authorization", "")
        self.requests.append((scope, login))
        if "push" in scope and login != f"Basic {LOGIN}":
            self._answer(401, b"incorrect username or password")
        else:
            self._answer(200, json.dumps({"token": scope}).encode())

    def _allowed(self, action: str) -> bool:
        scope = f"repository:vllm/x:{action}"
        given = self.headers.get("Authorization", "")
        if given.startswith(f"Bearer {scope}"):
            return True
        realm = f"http://127.0.0.1:{self.port}/token"
        challenge = f'Bearer realm="{realm}",service="registry",scope="{scope}"'
        self._answer(401, b"", **{"WWW-Authenticate": challenge})
        return False

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


Hub = tuple[str, list[tuple[str, str]]]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The URL of the registry, and the requests that it got."""

    class Handler(TokenRegistry):
        requests: ClassVar[list[tuple[str, str]]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler.requests
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_pull_gets_a_token_without_a_login(hub: Hub) -> None:
    url, requests = hub
    client = Registry("hub", url)
    assert client.manifest("vllm/x", "v1").digest == digest_of(MANIFEST)
    client.manifest("vllm/x", "v1")
    assert requests == [("repository:vllm/x:pull", "")]


def test_a_push_after_a_pull_gets_a_wider_token_with_the_login(hub: Hub) -> None:
    url, requests = hub
    client = Registry("hub", url, LOGIN)
    client.manifest("vllm/x", "v1")
    client.put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    scopes = [scope for scope, _ in requests if scope.startswith("repository")]
    assert scopes == ["repository:vllm/x:pull", "repository:vllm/x:pull,push"]


def test_the_login_is_sent_only_to_the_token_service(hub: Hub) -> None:
    url, requests = hub
    client = Registry("hub", url, LOGIN)
    client.put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    assert ("PUT", f"Basic {LOGIN}") not in requests


def test_a_refused_login_fails_with_the_command_to_log_in(hub: Hub) -> None:
    url, _ = hub
    with pytest.raises(Failed, match="hub refuses the login") as failed:
        Registry("hub", url).put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    assert failed.value.fix == "docker login hub"
    assert "incorrect username" in failed.value.why
