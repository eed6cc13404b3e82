"""Proxies and certificates, with the settings that every other tool reads."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

from errors import SlipwayError
from launch.weights.snapshot import Snapshot
from tests.hub.faults import serve_folder


def test_through_a_proxy(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    with serve_folder(folder) as hub:  # it answers absolute addresses too, so it can play the proxy
        monkeypatch.setenv("http_proxy", hub.url.replace("http://", "http://user:word@"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert_complete(fetch("http://hub.invalid").path)
        asked = [request for request in hub.requests if request.target.startswith("http://hub.invalid/")]
    assert asked
    assert all(request.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk" for request in asked)


def test_a_proxy_of_another_kind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:9")
    with pytest.raises(SlipwayError):
        fetch("http://hub.invalid")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    if not which("openssl"):
        pytest.skip("making a certificate needs the openssl command")
    made = tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    names = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(tmp_path / "key.pem"),
        "-out",
        str(made),
    ]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    made.write_text(made.read_text() + (tmp_path / "key.pem").read_text())
    return made


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_of_ones_own(
    name: str,
    folder: Path,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    with serve_folder(folder) as hub:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        hub.api.socket = context.wrap_socket(hub.api.socket, server_side=True)
        address = hub.url.replace("http://", "https://")
        with pytest.raises(SlipwayError, match="certificate is not trusted"):
            fetch(address)
        monkeypatch.setenv(name, str(certificate))
        assert_complete(fetch(address).path)


def test_a_ca_bundle_that_is_none(monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SlipwayError, match="is not a CA bundle"):
        fetch("https://127.0.0.1:9")


def test_a_network_that_needs_no_proxy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, 127.0.0.0/8")
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files > 0


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://127.0.0.1:9", "through the proxy 127.0.0.1:9"),
        ("socks5://127.0.0.1:9", "of an unsupported kind"),
        ("http://[bad", "address is not valid"),
        ("http://h:99999", "address is not valid"),
    ],
)
def test_a_proxy_that_is_the_trouble_is_named(
    proxy: str, words: str, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(SlipwayError, match=words):
        fetch("http://hub.invalid")
