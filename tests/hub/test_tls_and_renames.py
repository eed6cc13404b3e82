"""TLS that cannot work, and a model that was renamed."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launch.http.retry import RetryPolicy
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import MODEL
from tests.hub.fault_table import assert_clear_error
from tests.hub.faults import FaultyHandler, serve_folder
from tests.hub.test_early_end import certificate, error_of

VALID = ("20200101000000Z", "20500101000000Z")


@contextmanager
def serve_tls(folder: Path, path: Path) -> Iterator[str]:
    """Serve over TLS with a certificate for 127.0.0.1; yield the port."""
    with serve_folder(folder, own_storage=False) as hub:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, path.with_name("key.pem"))
        hub.api.socket = context.wrap_socket(hub.api.socket, server_side=True)
        yield hub.url.rpartition(":")[2]


@pytest.mark.parametrize(
    ("url", "trusted", "expected"),
    [
        ("https://localhost:", True, "not valid for 'localhost'"),
        ("https://127.0.0.1:", False, "self-signed certificate"),
        pytest.param(
            "http://127.0.0.1:", True, "closed|reset|broke|BadStatusLine|disconnected", marks=pytest.mark.slow
        ),
    ],
    ids=["another name", "unknown CA", "plain HTTP to TLS"],
)
def test_tls_that_cannot_work_is_named(
    url: str,
    trusted: bool,
    expected: str,
    folder: Path,
    tmp_path: Path,
    fetch: Callable[..., Snapshot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = certificate(tmp_path, *VALID)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with serve_tls(folder, path) as port:
        message = error_of(lambda: fetch(url + port, policy=RetryPolicy()))
    assert_clear_error(message, expected)


@pytest.mark.slow
def test_tls_to_a_server_of_plain_http_is_named(folder: Path, fetch: Callable[..., Snapshot]) -> None:
    with serve_folder(folder) as hub:
        message = error_of(lambda: fetch(hub.url.replace("http:", "https:"), policy=RetryPolicy()))
    assert_clear_error(message, "WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER|record layer")


def test_a_renamed_model_is_found_by_its_old_name(
    tmp_path: Path,
    folder: Path,
    fetch: Callable[..., Snapshot],
    monkeypatch: pytest.MonkeyPatch,
    assert_complete: Callable[[Path], None],
) -> None:
    (tmp_path / "new" / "harbour").mkdir(parents=True)
    (tmp_path / "new" / "harbour" / "gig").symlink_to(folder / MODEL)
    answer = FaultyHandler.do_GET

    def redirect(self: FaultyHandler) -> None:
        if MODEL not in self.path:
            return answer(self)
        self.send_response(307)
        self.send_header("Location", self.path.replace(MODEL, "harbour/gig"))
        self.send_header("Content-Length", "0")
        return self.end_headers()

    monkeypatch.setattr(FaultyHandler, "do_GET", redirect)
    with serve_folder(tmp_path / "new", own_storage=False) as hub:
        assert_complete(fetch(hub.url).path)
