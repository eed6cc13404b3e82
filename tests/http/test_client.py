"""One request: streamed bodies, redirects, credentials, and responses that break off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from errors import Failed
from launch.http import client
from launch.http.client import NoResponse, NotFound, get, request


@dataclass
class Recorded:
    """What a server received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Server:
    """A server that answers with `answers` (status, headers, body) by path."""

    url: str
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    requests: list[Recorded] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    server_under_test: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        recorded = Recorded(self.command, self.path, headers, self.rfile.read(length))
        self.server_under_test.requests.append(recorded)
        status, headers, body = self.server_under_test.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
    listener.RequestHandlerClass = type("Handler", (_Handler,), {"server_under_test": server})
    threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@pytest.fixture
def other() -> Iterator[Server]:
    with serving() as one:
        yield one


def test_get_returns_the_body(server: Server) -> None:
    server.answers["/x?y=1"] = (200, {"X-Odd": "1"}, b"content")
    response = get(f"{server.url}/x?y=1")
    assert (response.headers["x-odd"], response.read()) == ("1", b"content")
    with pytest.raises(NotFound):
        get(f"{server.url}/missing")


def test_get_explains_another_status(server: Server) -> None:
    server.answers["/x"] = (500, {}, b"out of\n\x1b[2J order")
    with pytest.raises(Failed, match="answered 500") as error:
        get(f"{server.url}/x")
    assert error.value.why == "out of  [2J order"


def test_request_streams_its_body(server: Server) -> None:
    server.answers["/x"] = (201, {}, b"")
    response = request("PUT", f"{server.url}/x", headers={"Content-Length": "6"}, body=iter([b"abc", b"def"]))
    assert response.status == 201
    assert [(one.method, one.body) for one in server.requests] == [("PUT", b"abcdef")]


def test_request_sends_each_header_once(server: Server) -> None:
    server.answers["/x"] = (200, {}, b"")
    request("GET", f"{server.url}/x", headers={"user-agent": "test", "accept": "a/b"})
    headers = server.requests[0].headers
    assert (headers["user-agent"], headers["accept"], headers["accept-encoding"]) == (
        "test",
        "a/b",
        "identity",
    )


def test_redirects_keep_the_credentials_at_their_origin(server: Server, other: Server) -> None:
    server.answers["/1"] = (302, {"Location": "/2"}, b"")
    server.answers["/2"] = (307, {"Location": f"{other.url}/3"}, b"")
    other.answers["/3"] = (302, {"Location": f"{server.url}/4"}, b"")
    server.answers["/4"] = (200, {}, b"here")
    response = request("GET", f"{server.url}/1", headers={"authorization": "Bearer secret", "X-Other": "1"})
    assert response.read() == b"here"
    assert [one.headers.get("authorization") for one in server.requests] == ["Bearer secret"] * 3
    assert [one.headers.get("authorization") for one in other.requests] == [None]
    assert other.requests[0].headers["x-other"] == "1"


def test_the_login_in_a_url_is_sent(server: Server) -> None:
    server.answers["/x"] = (200, {}, b"")
    request("GET", f"{server.url.replace('://', '://me:p%40w@')}/x")
    assert server.requests[0].headers["authorization"] == "Basic bWU6cEB3"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_requests_with_a_body_follow_no_redirect(method: str, server: Server) -> None:
    server.answers["/1"] = (302, {"Location": "/2"}, b"")
    assert request(method, f"{server.url}/1", body=b"x").status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize("location", [None, "http://[::1/", "file:///etc/passwd", "http://h:99999/"])
def test_an_invalid_redirect_fails(location: str | None, server: Server) -> None:
    server.answers["/1"] = (302, {"Location": location} if location else {}, b"")
    with pytest.raises(Failed, match="redirects to no valid URL"):
        request("GET", f"{server.url}/1")


def test_a_circle_of_redirects_fails(server: Server) -> None:
    server.answers["/1"] = (302, {"Location": "/1"}, b"")
    with pytest.raises(Failed, match=f"more than {client.MOST_REDIRECTS} times"):
        request("GET", f"{server.url}/1")


def test_a_response_that_breaks_off_fails(server: Server) -> None:
    server.answers["/x"] = (200, {"Content-Length": "100"}, b"short")
    with pytest.raises(NoResponse, match="ended 95 bytes too early"):
        get(f"{server.url}/x").read()


def test_a_response_that_is_too_long_fails(server: Server) -> None:
    server.answers["/x"] = (200, {}, bytes(3 << 20))
    with pytest.raises(Failed, match="sends more than 1 MiB"):
        get(f"{server.url}/x").read(1 << 20)


def test_lines_arrive_one_by_one(server: Server) -> None:
    server.answers["/x"] = (200, {}, b"data: 1\n\ndata: 2\n")
    assert list(get(f"{server.url}/x").lines()) == [b"data: 1\n", b"\n", b"data: 2\n"]


def test_a_server_that_does_not_listen_is_named() -> None:
    with pytest.raises(NoResponse, match=r"127\.0\.0\.1:9 does not answer: .*refused"):
        request("GET", "http://127.0.0.1:9/x")


def test_a_server_that_accepts_and_says_nothing_times_out() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(NoResponse, match="timed out"):
            request("GET", f"http://127.0.0.1:{port}/", timeout=0.2)


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://h/x", "http://", "http://a b/", "http://h:x/"])
def test_an_invalid_url_fails(url: str) -> None:
    with pytest.raises(Failed, match=r"is not an http\(s\) URL"):
        request("GET", url)
