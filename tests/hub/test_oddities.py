"""Answers that are not quite HTTP, or not quite a Hub's: from proxies, mirrors, middleboxes and worse.

Read like `test_faults.py`: without an error the right bytes, with one that error and nothing lost.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launch import weights
from launch.hub_server import Fault

from .conftest import BIG, SIZES
from .rows import Row, assert_row, content

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
THEN = ("Date", "Wed, 01 Jan 2020 00:00:00 GMT")
SIZE = SIZES[BIG]
BEEP = "\x1b[2J\x07"


def head(kind: str = "heads", **headers: str) -> Fault:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return content(kind, headers=named)


def later(value: str, where: str = "content") -> Fault:
    return Fault("status", where, status=429, headers=(("Retry-After", value), THEN), times=1)


def refused(where: str, status: int, **headers: str) -> Fault:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    match = BIG if where == "resolve" else "*"
    return Fault("status", where, match=match, status=status, headers=named)


def leads(location: str) -> Fault:
    return Fault("redirect", "resolve", match=BIG, location=location)


def page(body: bytes, **headers: str) -> Fault:
    return Fault("status", "tree", status=200, body=body, headers=tuple(headers.items()))


def entry(**values: object) -> Fault:
    return page(json.dumps([{"type": "file", "path": "a", "size": 1, "oid": "a" * 40, **values}]).encode())


TABLE = [
    # Before the answer
    Row("a hint before the file", (content("before", body=HINT),)),
    Row("hints before everything", (Fault("before", "any", body=HINT * 3),)),
    Row("hints without end", (content("before", body=HINT * 500),), "hints without end"),
    Row("no HTTP at all", (content("raw", body=b"220 mail ready\r\n" * 99),), "not HTTP"),
    Row("bytes and no head", (content("raw", body=bytes(range(256)) * 99, times=2),)),
    # Which bytes
    Row("ranges cut to 64 KiB", (content("cap", rate=1 << 16),)),
    # For ever, it would depend on which stream asks first whether the whole file is had without a range.
    Row(
        "a range that begins elsewhere", (replace(head(Content_Range=f"bytes 7-{SIZE - 1}/{SIZE}"), times=2),)
    ),
    Row("a range that ends before it begins", (head(Content_Range=f"bytes 9-8/{SIZE}"),), "no range|byte 9"),
    Row("a range of another file", (head(Content_Range="bytes 0-4/5"),), "the server has 5 bytes"),
    Row("a range that is a command", (head(Content_Range=f"bytes {BEEP}"),), "another range"),
    Row("a length that is too short", (head(Content_Length="100"),), "answer ends|100 bytes"),
    Row("a length of nothing", (head(Content_Length="0"),), "answer ends|0 bytes"),
    Row("an encoding that is none", (head(Content_Encoding="Identity"),)),
    Row("a file said to be compressed", (head(Content_Encoding="gzip"),), "compressed"),
    # Not now
    Row("Retry-After without a zone", (later("Wed, 01 Jan 2020 00:00:01"),)),
    Row("Retry-After in no zone", (later("Wed, 01 Jan 2020 00:00:01 -0000", "tree"),)),
    Row("Retry-After with a digit that is none", (later("\xb2"),)),
    Row("Retry-After for ever", (later("9" * 400),), "asks to wait 1000000000 s"),
    Row("an error of a CDN", (Fault("status", "resolve", status=522, times=3),)),
    # Not you
    Row(
        "disabled",
        (refused("info", 403, X_Error_Message="Access to this resource is disabled."),),
        "disabled",
    ),
    Row("disabled at a file", (refused("resolve", 403, X_Error_Code="DisabledRepo"),), "is disabled"),
    Row("403 without a word", (refused("resolve", 403),), "refuses it"),
    Row("a reason that is a command", (refused("resolve", 451, X_Error_Code=BEEP),), "refuses it"),
    Row("the storage has fewer bytes", (content("status", status=416),), "fewer bytes"),
    # Somewhere else
    Row("a redirect to no port", (leads("http://127.0.0.1:99999/"),), "no address"),
    Row("a redirect to half an address", (leads("http://[::1/"),), "no address"),
    Row("a redirect to nowhere, once", (Fault("redirect", "resolve", location="http://:1/", times=1),)),
    # What there is
    Row(
        "a listing that is compressed",
        (page(gzip.compress(b"[]"), **{"Content-Encoding": "gzip"}),),
        "compressed",
    ),
    Row("a listing that goes round", (page(b"[]", Link='<?again>; rel="next"'),), "round in a circle"),
    Row("a next page without a port", (page(b"[]", Link='<http://h:99999/>; rel="next"'),), "Hub's JSON"),
    Row("a listing that is an object", (page(b"{}"),), "Hub's JSON"),
    Row("an empty listing", (page(b"[]"),), "has no files"),
    Row("a listing nested without end", (page(b"[" * 100_000),), "no Hub sends"),
    Row("a name that is none", (entry(path=None),), "Hub's JSON"),
    Row(
        "a size without end",
        (page(json.dumps([{"type": "file", "path": "a", "size": 1e999}]).encode()),),
        "JSON",
    ),
    Row("a size that no disk has", (entry(size=10**30),), "hash or size"),
    Row(
        "tags that are none",
        (Fault("status", "info", status=200, body=b'{"id":"a/b","tags":5}'),),
        "no commit",
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_right_bytes_or_one_clear_error(
    row: Row,
    folder: Path,
    cache: Path,
    fetch: Callable[..., weights.Snapshot],
    assert_whole: Callable[[Path], None],
) -> None:
    assert_row(row, folder, cache, fetch, assert_whole)
