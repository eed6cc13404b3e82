"""What `connect` finds out about a server, and which addresses it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.acceptance import connect
from tests.acceptance.stand_in import LENGTH, MODEL, StandIn


@contextmanager
def page(status: int, body: str) -> Iterator[str]:
    """Serve one page at every path; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_connect_reads_model_and_context(server: StandIn) -> None:
    target = connect.connect(server.url)
    assert (target.model, target.max_model_len, target.key) == (MODEL, LENGTH, "")


def test_connect_refuses_another_model_and_lists_what_is_served(server: StandIn) -> None:
    with pytest.raises(Refused, match="stand-in/modal") as refused:
        connect.connect(server.url, "stand-in/modal")
    assert MODEL in refused.value.why


def test_connect_refuses_a_server_that_requires_a_key(server: StandIn) -> None:
    server.key = "sk-test"
    with pytest.raises(Refused, match="requires an API key") as refused:
        connect.connect(server.url)
    assert "--key-file" in refused.value.fix
    with pytest.raises(Refused, match="rejects the API key"):
        connect.connect(server.url, key="sk-other")
    assert connect.connect(server.url, key="sk-test").key == "sk-test"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "Not Found"),
        (200, "<html>hello</html>"),
        (200, "{}"),
        (200, '{"data": []}'),
        (200, '{"data": [{"name": "x"}]}'),
        (200, "[1]"),
        (500, '{"data": [{"id": "x"}]}'),
    ],
)
def test_connect_refuses_what_is_not_an_openai_api(status: int, body: str) -> None:
    with page(status, body) as url, pytest.raises(Refused, match="has no OpenAI API"):
        connect.connect(url)


def test_connect_fails_if_nothing_listens() -> None:
    with pytest.raises(Failed, match="does not answer"):
        connect.connect("http://127.0.0.1:9")


def test_connect_fails_if_the_server_hangs(monkeypatch: pytest.MonkeyPatch, hanging: str) -> None:
    monkeypatch.setattr(connect, "ANSWER_WITHIN", 0.2)
    with pytest.raises(Failed, match="does not answer"):
        connect.connect(hanging)


@pytest.fixture
def hanging() -> Iterator[str]:
    """The address of a socket that accepts connections and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("given", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_base_url_has_no_path_of_the_api(given: str) -> None:
    assert connect.base_url(given) == "http://h:1"


@pytest.mark.parametrize("given", ["h:1", "ftp://h", "", "http://"])
def test_base_url_refuses_what_is_not_a_url(given: str) -> None:
    with pytest.raises(Refused, match="is not an http"):
        connect.base_url(given)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"temperature": 1.0, "top_k": 40, "eos_token_id": 7}', {"temperature": 1.0, "top_k": 40}),
        ("{", {}),
        ('{"top_k": null}', {}),
    ],
)
def test_sampling_in_reads_the_defaults_of_a_checkpoint(text: str, values: object, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    assert connect.sampling_in(tmp_path / "generation_config.json") == values


def test_sampling_of_knows_minimax_m2(tmp_path: Path) -> None:
    expected = {"temperature": 1.0, "top_p": 0.95, "top_k": 40}
    assert connect.sampling_of("MiniMaxAI/MiniMax-M2") == expected
    assert connect.sampling_of("a/model") == {}
    assert connect.sampling_in(tmp_path / "absent.json") == {}
