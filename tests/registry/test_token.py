"""Token login as Docker Hub and GitHub do it, against a stand-in that speaks their challenges."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from errors import Failed
from images.registry.client import Registry
from images.registry.manifest import MANIFESTS, digest_of

PART = {"digest": digest_of(b"{}"), "size": 2}
MANIFEST = json.dumps({"schemaVersion": 2, "config": PART, "layers": []}).encode()
LOGIN = base64.b64encode(b"me:secret").decode()


class TokenRegistry(BaseHTTPRequestHandler):
    """Wants a token for the scope of each request; its service wants the login for anything but pulling."""

    asked: list[tuple[str, str]]

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/token":
            self._token(parse_qs(parts.query)["scope"][0])
        elif self._allowed("pull"):
            self._answer(200, MANIFEST, **{"Content-Type": MANIFESTS[0]})

    def do_POST(self):
        if self._allowed("pull,push"):
            self._answer(202, b"", Location="/upload?state=1")

    def do_HEAD(self):
        if self._allowed("pull"):
            self._answer(404, b"")

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.command, self.headers.get("Authorization", "")))
        self._answer(201, b"")

    def _token(self, scope):
        login = self.headers.get("Authorization", "")
        self.asked.append((scope, login))
        if "push" in scope and login != f"Basic {LOGIN}":
            return self._answer(401, b"incorrect username or password")
        return self._answer(200, json.dumps({"token": scope}).encode())

    def _allowed(self, action):
        scope = f"repository:vllm/x:{action}"
        given = self.headers.get("Authorization", "")
        if given.startswith(f"Bearer {scope}"):
            return True
        realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        challenge = f'Bearer realm="{realm}",service="registry",scope="{scope}"'
        self._answer(401, b"", **{"WWW-Authenticate": challenge})
        return False

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def hub():
    handler = type("Handler", (TokenRegistry,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_pulling_needs_a_token_and_no_login(hub):
    url, asked = hub
    client = Registry("hub", url)
    assert client.manifest("vllm/x", "v1").digest == digest_of(MANIFEST)
    client.manifest("vllm/x", "v1")
    assert asked == [("repository:vllm/x:pull", "")]


def test_pushing_after_pulling_asks_for_a_wider_token_with_the_login(hub):
    url, asked = hub
    client = Registry("hub", url, LOGIN)
    client.manifest("vllm/x", "v1")
    client.put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    scopes = [scope for scope, _ in asked if scope.startswith("repository")]
    assert scopes == ["repository:vllm/x:pull", "repository:vllm/x:pull,push"]


def test_the_login_goes_to_the_token_service_alone(hub):
    url, asked = hub
    client = Registry("hub", url, LOGIN)
    client.put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    assert ("PUT", f"Basic {LOGIN}") not in asked


def test_a_login_that_the_service_refuses(hub):
    url, _ = hub
    with pytest.raises(Failed, match="hub refuses the login") as failed:
        Registry("hub", url).put_blob("vllm/x", digest_of(b"x"), 1, [b"x"])
    assert failed.value.fix == "docker login hub"
    assert "incorrect username" in failed.value.why
