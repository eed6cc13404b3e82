"""Further faults of servers, proxies and CDNs: each ends with the right content, or soon with the true reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.http.retry import RetryPolicy
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.fault_table import Row, assert_clear_error, assert_no_wrong_content, assert_outcome, content
from tests.hub.faults import Fault, serve_folder

LONGEST = 20.0  # seconds
PAGE = b"<!doctype html><title>Sign in</title>"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
PARTIAL = b"HTTP/1.1 206 Partial Content\r\n"
MANY = b"".join(b"X-%d: y\r\n" % number for number in range(150))
THEN = ("Date", "Wed, 01 Jan 2020 00:00:00 GMT")


def raw(data: bytes, where: str = "content", times: int = 2) -> Fault:
    return replace(Fault("raw", where, body=data, times=times), match=BIG if where == "content" else "*")


def always(fault: Fault) -> Fault:
    return replace(fault, times=1 << 30)


def status(code: int, where: str = "content", *headers: tuple[str, str], body: bytes = b"") -> Fault:
    return Fault("status", where, status=code, headers=headers, body=body)


def once(fault: Fault) -> Fault:
    return replace(fault, times=1)


PASSES = [
    Row("416 once", (once(status(416)),)),
    Row("a head and no body", (content("close", at=0, times=2),)),
    Row("two lengths that differ", (raw(PARTIAL + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n12345"),)),
    Row("a length below zero", (content("heads", headers=(("Content-Length", "-1"),), times=2),)),
    Row("a length that is no number", (content("heads", headers=(("Content-Length", "many"),), times=2),)),
    Row("a chunk size that is no number", (raw(PARTIAL + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),)),
    Row("a chunk that is cut", (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab"),)),
    Row("a header line of 100 KiB", (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),)),
    Row("150 headers", (raw(b"HTTP/1.1 200 OK\r\n" + MANY + b"\r\n"),)),
    Row("a status of two digits", (raw(b"HTTP/1.1 20 OK\r\n\r\n"),)),
    Row("nothing at all", (raw(b""),)),
    Row("an alert of TLS", (raw(b"\x15\x03\x01\x00\x02\x02\x46"),)),
    Row("a weak ETag", (content("heads", headers=(("ETag", 'W/"x"'),), times=1),)),
    Row("Retry-After below zero", (once(status(429, "content", ("Retry-After", "-5"))),)),
    Row("Retry-After as a fraction", (once(status(429, "content", ("Retry-After", "0.5"))),)),
    Row("Retry-After in words", (once(status(503, "tree", ("Retry-After", "soon"))),)),
    Row(
        "Retry-After before now",
        (once(status(429, "tree", ("Retry-After", "Wed, 01 Jan 2019 00:00:00 GMT"), THEN)),),
    ),
    Row("the Hub's RateLimit", (once(status(429, "resolve", ("RateLimit", '"resolvers";r=0;t=1'))),)),
    Row("408 at the files", (once(status(408)),)),
    Row("425 at the listing", (once(status(425, "tree")),)),
    Row("520 of a CDN at the model", (once(status(520, "info")),)),
    Row("the listing is cut", (raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{"type"', "tree", 1),)),
    Row("an expired URL in the middle of a file", (content("reset", at=9 << 20, times=1), once(status(403)))),
    Row("a connection for each part", (content("heads", headers=(("Connection", "close"),)),)),
]


@pytest.mark.parametrize("row", PASSES, ids=lambda row: row.name)
def test_a_fault_that_passes_leaves_the_right_content(
    row: Row,
    folder: Path,
    cache: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    assert_outcome(row, folder, cache, fetch, assert_complete)


LASTS = [
    Row("a sign-in page without a length", (always(raw(HTML + b"\r\n" + PAGE)),), "web page"),
    Row(
        "a sign-in page in chunks",
        (always(raw(HTML + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE))),),
        "web page",
    ),
    Row("204 at the files", (status(204),), "204"),
    Row("304 at the files", (status(304),), "304"),
    Row("300 without a target", (status(300),), "300"),
    Row("410 at the files", (status(410, "resolve"),), "410"),
    Row("451 at the model", (status(451, "info"),), "451"),
    Row("421 at the files", (status(421),), "421"),
    Row("401 at the storage", (status(401),), "401"),
    Row("a redirect without a target", (status(302, "resolve"),), "302"),
    Row("a model that redirects to itself", (status(307, "info", ("Location", "?")),), "redirect"),
    Row("a listing that redirects to itself", (status(308, "tree", ("Location", "?")),), "redirect"),
    Row("403 of a firewall at the model", (status(403, "info", body=PAGE),), "403"),
    Row("404 of a server that is not a Hub", (status(404, "info"),), "--revision and HF_ENDPOINT"),
    Row("400 at the model", (status(400, "info"),), "400"),
    Row(
        "a listing with a negative size",
        (status(200, "tree", body=b'[{"type":"file","path":"a","size":-1,"oid":"%b"}]' % (b"a" * 40)),),
        "hash or size",
    ),
    Row(
        "a listing that is not UTF-8",
        (status(200, "tree", body=b"\xff\xfe[\x00]"),),
        "Hub's JSON|has no files",
    ),
    Row("a listing without a body", (status(204, "tree"),), "Hub's JSON"),
    Row(
        "a folder as a listing",
        (status(200, "tree", body=b'[{"type":"directory","path":"a"}]'),),
        "has no files",
    ),
    Row(
        "a range that is always empty",
        (content("heads", headers=(("Content-Range", "bytes */5"),)),),
        "no valid range",
    ),
    Row(
        "the parts of a multipart answer",
        (
            content(
                "heads", headers=(("Content-Type", "multipart/byteranges; boundary=x"), ("Content-Range", ""))
            ),
        ),
        "no valid range",
    ),
]


@pytest.mark.parametrize("row", LASTS, ids=lambda row: row.name)
def test_a_fault_that_lasts_ends_the_fetch_soon_with_the_true_reason(
    row: Row, folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    start = time.monotonic()
    with serve_folder(folder, faults=row.faults) as hub, pytest.raises(SlipwayError) as error:
        fetch(hub.url, policy=RetryPolicy())
    assert time.monotonic() - start < LONGEST
    assert_clear_error(str(error.value), row.error)
    assert_no_wrong_content(cache, folder)


def test_a_login_in_a_redirect_is_not_the_hubs_token(
    folder: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serve_folder(folder) as other:
        host = other.url.partition("://")[2]
        target = f"http://me:word@{host}/{MODEL}/resolve/main/config.json"
        fault = Fault("redirect", "resolve", match="config.json", location=target)
        with serve_folder(folder, faults=(fault,)) as hub:
            snapshot = fetch(hub.url)
        assert (snapshot.path / "config.json").stat().st_size == SIZES["config.json"]
        assert not [one for one in other.requests if "hf_secret" in str(one.headers)]


def test_a_hub_that_has_an_ipv6_address_only(
    folder: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder, host="::1", own_storage=False) as hub:
        assert_complete(fetch(hub.url).path)


@pytest.mark.parametrize("name", ["a b", "~", "per%20cent", "\N{SNOWMAN}", "new\nline"])
def test_the_cache_may_have_any_name(
    name: str,
    folder: Path,
    tmp_path: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    with serve_folder(folder) as hub:
        assert_complete(fetch(hub.url, cache=tmp_path / name).path)
