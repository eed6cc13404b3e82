"""Responses that are not valid HTTP, or not a Hub's: from proxies, mirrors and middleboxes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launch.weights.snapshot import Snapshot
from tests.hub.conftest import BIG, SIZES
from tests.hub.fault_table import Row, assert_outcome, content
from tests.hub.faults import Fault

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
THEN = ("Date", "Wed, 01 Jan 2020 00:00:00 GMT")
SIZE = SIZES[BIG]
BEEP = "\x1b[2J\x07"


def head(kind: str = "heads", **headers: str) -> Fault:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return content(kind, headers=named)


def retry_later(value: str, where: str = "content") -> Fault:
    return Fault("status", where, status=429, headers=(("Retry-After", value), THEN), times=1)


def refused(where: str, status: int, **headers: str) -> Fault:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    match = BIG if where == "resolve" else "*"
    return Fault("status", where, match=match, status=status, headers=named)


def redirect(location: str) -> Fault:
    return Fault("redirect", "resolve", match=BIG, location=location)


def page(body: bytes, **headers: str) -> Fault:
    return Fault("status", "tree", status=200, body=body, headers=tuple(headers.items()))


def entry(**values: object) -> Fault:
    return page(json.dumps([{"type": "file", "path": "a", "size": 1, "oid": "a" * 40, **values}]).encode())


TABLE = [
    # Before the response
    Row("103 before the file", (content("before", body=HINT),)),
    Row("103 before every response", (Fault("before", "any", body=HINT * 3),)),
    Row("endless 103", (content("before", body=HINT * 500),), "of status 1xx"),
    Row("another protocol", (content("raw", body=b"220 mail ready\r\n" * 99),), "not HTTP"),
    Row("content without a head", (content("raw", body=bytes(range(256)) * 99, times=2),)),
    # Which bytes
    Row("ranges cut to 64 KiB", (content("cap", rate=1 << 16),)),
    # Twice only: the first worker to ask would otherwise get the whole file without a range.
    Row(
        "a range that starts elsewhere", (replace(head(Content_Range=f"bytes 7-{SIZE - 1}/{SIZE}"), times=2),)
    ),
    Row(
        "a range that ends before it begins",
        (head(Content_Range=f"bytes 9-8/{SIZE}"),),
        "an empty range|byte 9",
    ),
    Row("a range of another file", (head(Content_Range="bytes 0-4/5"),), "the server has 5 bytes"),
    Row("a range with control characters", (head(Content_Range=f"bytes {BEEP}"),), "no valid range"),
    Row("a length that is too short", (head(Content_Length="100"),), "response ends|100 bytes"),
    Row("a length of 0", (head(Content_Length="0"),), "response ends|0 bytes"),
    Row("the encoding Identity", (head(Content_Encoding="Identity"),)),
    Row("a compressed file", (head(Content_Encoding="gzip"),), "compressed"),
    # Try again later
    Row("Retry-After without a zone", (retry_later("Wed, 01 Jan 2020 00:00:01"),)),
    Row("Retry-After in an unknown zone", (retry_later("Wed, 01 Jan 2020 00:00:01 -0000", "tree"),)),
    Row("Retry-After with a digit that is not ASCII", (retry_later("\xb2"),)),
    Row("Retry-After of 400 digits", (retry_later("9" * 400),), "asks to wait 1000000000 s"),
    Row("an error of a CDN", (Fault("status", "resolve", status=522, times=3),)),
    # Refusals
    Row(
        "disabled",
        (refused("info", 403, X_Error_Message="Access to this resource is disabled."),),
        "is disabled",
    ),
    Row("disabled at a file", (refused("resolve", 403, X_Error_Code="DisabledRepo"),), "is disabled"),
    Row("403 without a reason", (refused("resolve", 403),), "refuses the request"),
    Row(
        "a reason with control characters",
        (refused("resolve", 451, X_Error_Code=BEEP),),
        "refuses the request",
    ),
    Row("the storage has fewer bytes", (content("status", status=416),), "fewer bytes"),
    # Redirects
    Row("a redirect to an invalid port", (redirect("http://127.0.0.1:99999/"),), "no valid URL"),
    Row("a redirect to an incomplete address", (redirect("http://[::1/"),), "no valid URL"),
    Row("a redirect without a host, once", (Fault("redirect", "resolve", location="http://:1/", times=1),)),
    # The listing
    Row(
        "a compressed listing of no files",
        (page(gzip.compress(b"[]"), **{"Content-Encoding": "gzip"}),),
        "has no files",
    ),
    Row(
        "a listing that is not compressed as it says",
        (page(b"[]", **{"Content-Encoding": "gzip"}),),
        "compressed and not valid",
    ),
    Row(
        "a listing of 32 MiB in 32 KiB",
        (page(gzip.compress(b" " * (32 << 20)), **{"Content-Encoding": "gzip"}),),
        "more than 16 MiB",
    ),
    Row(
        "a listing in an unknown compression",
        (page(b"[]", **{"Content-Encoding": "br"}),),
        "compressed (br)",
    ),
    Row("a listing whose pages form a circle", (page(b"[]", Link='<?again>; rel="next"'),), "form a circle"),
    Row(
        "a next page with an invalid port", (page(b"[]", Link='<http://h:99999/>; rel="next"'),), "Hub's JSON"
    ),
    Row("a listing that is an object", (page(b"{}"),), "Hub's JSON"),
    Row("an empty listing", (page(b"[]"),), "has no files"),
    Row("a listing nested 100000 deep", (page(b"[" * 100_000),), "no Hub sends"),
    Row("a path that is null", (entry(path=None),), "Hub's JSON"),
    Row(
        "an infinite size",
        (page(json.dumps([{"type": "file", "path": "a", "size": 1e999}]).encode()),),
        "JSON",
    ),
    Row("a size of 10^30", (entry(size=10**30),), "hash or size"),
    Row(
        "tags that are a number",
        (Fault("status", "info", status=200, body=b'{"id":"a/b","tags":5}'),),
        "no valid commit",
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_fetch_ends_with_the_right_content_or_one_clear_error(
    row: Row,
    folder: Path,
    cache: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    assert_outcome(row, folder, cache, fetch, assert_complete)
