"""What another attempt cannot change ends a fetch within seconds, with the true reason and the default policy."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.http.connection import EXPIRED, NOT_YET_VALID, Route
from launch.http.retry import RetryPolicy
from launch.hub_server.routes import Answer, Request, Slice
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.fault_table import assert_clear_error
from tests.hub.faults import Fault, FaultyHandler, serve_folder

LONGEST = 20.0  # seconds


@contextmanager
def proxy_that_answers(head: bytes) -> Iterator[str]:
    """A proxy that answers every request with this head."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.recv(1 << 16)
                    connection.sendall(head)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@dataclass(frozen=True)
class Refusal:
    """What a proxy answers to CONNECT, and what the message has to say."""

    head: bytes
    texts: tuple[str, ...]


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n", ("requires a login", "407")),
        Refusal(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            ("does not allow hub.invalid:443", "ask for hub.invalid:443 to be added to the allow list"),
        ),
        Refusal(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", ("405 to CONNECT hub.invalid:443",)),
    ],
    ids=["407", "403", "405"],
)
def test_a_proxy_that_refuses_is_named_with_the_host_to_allow(
    refusal: Refusal, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_that_answers(refusal.head) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        message = error_of(lambda: fetch("https://hub.invalid", policy=RetryPolicy()))
    assert_clear_error(message, "the proxy 127.0.0.1:")
    assert [text for text in refusal.texts if text not in message] == []


def error_of(action: Callable[[], object]) -> str:
    """Return the message with which an action fails in time."""
    start = time.monotonic()
    with pytest.raises(SlipwayError) as error:
        action()
    assert time.monotonic() - start < LONGEST
    return str(error.value)


DEAD = '<http://127.0.0.1:9/next?cursor=1>; rel="next"'


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status", "content", status=400), "also with the URL that the Hub has just named; --xet"),
        (Fault("status", "content", status=403), "answers 403 for"),
        (
            Fault("heads", "content", match=BIG, headers=(("Content-Range", f"bytes 0-9/{SIZES[BIG] + 1}"),)),
            f"{SIZES[BIG] + 1} bytes, the listing says {SIZES[BIG]}",
        ),
        (Fault("status", "content", status=200, body=b"<html>sign in</html>"), "the listing says"),
        (Fault("redirect", "resolve", location="file:///etc/passwd"), "no valid URL"),
        (Fault("redirect", "resolve", location="?"), "redirected more"),
        (
            Fault("redirect", "resolve", location="http://storage.invalid/x"),
            "storage.invalid:80 does not answer",
        ),
        (Fault("heads", "tree", headers=(("Link", DEAD),)), "http://127.0.0.1:9/next does not answer"),
        pytest.param(
            Fault("redirect", "resolve", location="http://127.0.0.1:9/x"),
            "127.0.0.1:9 does not answer",
            marks=pytest.mark.slow,
        ),
        pytest.param(Fault("mute", "info"), "does not answer for", marks=pytest.mark.slow),
        pytest.param(Fault("mute", "tree"), "does not answer for", marks=pytest.mark.slow),
        pytest.param(Fault("drip", "tree"), "not complete after", marks=pytest.mark.slow),
        (Fault("status", "tree", status=404, body=b"Not Found"), "it has no tree API"),
        (Fault("status", "tree", status=405), "it has no tree API"),
        (Fault("status", "tree", status=501), "it has no tree API"),
        (Fault("status", "tree", status=404, headers=(("X-Error-Code", "RevisionNotFound"),)), "--revision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_change_ends_the_fetch_early(
    fault: Fault, expected: str, folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    with serve_folder(folder, faults=(fault,)) as hub:
        message = error_of(lambda: fetch(hub.url, policy=RetryPolicy()))
    assert_clear_error(message, expected)


def compressed(self: FaultyHandler, request: Request, answer: Answer) -> None:
    """Answer as a middlebox that compresses everything that is sent, and keeps the header of a range."""
    body = answer.body
    if isinstance(body, Slice):
        with body.at.open("rb") as stream:
            stream.seek(body.first)
            body = stream.read(body.last - body.first)
    packed = gzip.compress(body, 0)
    headers = {**answer.headers, "Content-Encoding": "gzip"}
    respond_plainly(self, request, Answer(answer.status, headers, packed if answer.status < 300 else body))


respond_plainly = FaultyHandler.respond


@pytest.mark.parametrize("include", [(), (BIG,)])
def test_responses_that_a_middlebox_compressed_are_unpacked(
    include: tuple[str, ...],
    folder: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FaultyHandler, "respond", compressed)
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url, include=include, policy=replace(QUICK, read_timeout=20))
        if include:
            assert (snapshot.path / BIG).read_bytes() == (folder / MODEL / BIG).read_bytes()
        else:
            assert_complete(snapshot.path)


def certificate(folder: Path, start: str, end: str) -> Path:
    """Make a self-signed certificate for 127.0.0.1 that is valid between two times (YYYYMMDDHHMMSSZ)."""
    if not shutil.which("openssl"):
        pytest.skip("making a certificate needs the openssl command")
    subject = ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*key, "-keyout", "key.pem", "-out", "request.pem", *subject],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "index").touch()
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
        "policy=any\ncopy_extensions=copy\n[any]\ncommonName=supplied\n"
    )
    (folder / "serial").write_text("01\n")
    sign = ["openssl", "ca", "-config", "ca.cnf", "-batch", "-selfsign", "-keyfile", "key.pem"]
    sign += ["-in", "request.pem", "-out", "cert.pem", "-startdate", start, "-enddate", end]
    subprocess.run(sign, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("20500101000000Z", "20510101000000Z", "its certificate is not valid yet"),
        ("20100101000000Z", "20110101000000Z", "its certificate has expired"),
    ],
)
def test_a_certificate_of_another_time_names_the_clock(
    start: str,
    end: str,
    expected: str,
    tmp_path: Path,
    folder: Path,
    fetch: Callable[..., Snapshot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = certificate(tmp_path, start, end)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with serve_folder(folder) as hub:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, path.with_name("key.pem"))
        hub.api.socket = context.wrap_socket(hub.api.socket, server_side=True)
        message = error_of(lambda: fetch(hub.url.replace("http://", "https://"), policy=RetryPolicy()))
    assert_clear_error(message, expected)
    assert "the clock of this host says 20" in message


def test_other_faults_of_a_certificate_keep_their_reason() -> None:
    error = ssl.SSLCertVerificationError(1, "self-signed certificate")
    error.verify_code, error.verify_message = 18, "self-signed certificate"
    assert 18 not in (NOT_YET_VALID, EXPIRED)
    assert "is not trusted" in str(Route.to("https://hub.invalid", {}).untrusted(error))


def test_a_listing_is_read_through_a_middlebox_that_compresses_json_only(
    folder: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        answer = hub.api.RequestHandlerClass.hub.answer(  # type: ignore[attr-defined]
            Request("GET", f"/api/models/{MODEL}/tree/main?recursive=true", {})
        )
    assert json.loads(answer.body)
    fault = Fault(
        "status", "tree", status=200, body=gzip.compress(answer.body), headers=(("Content-Encoding", "gzip"),)
    )
    with serve_folder(folder, faults=(fault,)) as hub:
        assert_complete(fetch(hub.url).path)
