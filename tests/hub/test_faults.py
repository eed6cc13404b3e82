"""What a fetch makes of all that goes wrong between it and a Hub: the right bytes, or one clear error.

Real sockets, real files. Each row names the faults of the server; a row without `error` must end with every
byte in place, a row with one must say it, leave nothing wrong behind, and be completed by the next fetch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import Fault, serve_folder

from .conftest import BIG, MODEL, QUICK, SIZES
from .rows import Row, assert_row, content

MIB = 1 << 20
PAGE = b"<!doctype html><title>Sign in</title><p>Welcome to the hotel's network</p>"
GATED = (("x-error-code", "GatedRepo"),)
DEAD = "http://127.0.0.1:9/nobody-listens-here"
LATE = (("Retry-After", "Wed, 01 Jan 2020 00:00:01 GMT"), ("Date", "Wed, 01 Jan 2020 00:00:00 GMT"))
YEAR = (("Retry-After", "31536000"),)
AT = random.Random(2026).sample(range(SIZES[BIG]), 6)  # bytes where things break


TABLE = [
    # The body
    *(Row(f"reset at byte {at}", (content("reset", at=at, times=1),)) for at in AT[:3]),
    *(Row(f"closed politely at byte {at}", (content("close", at=at, times=1),)) for at in AT[3:]),
    Row("reset before the first byte, 3 times", (content("reset", at=0, times=3),)),
    Row("reset at the last byte", (content("reset", at=SIZES[BIG] - 1, times=1),)),
    Row("reset always at the same byte", (content("reset", at=AT[0]),), "gave up after"),
    Row("one wrong byte, once", (content("flip", at=AT[1], times=1),)),
    Row("one wrong byte, always", (content("flip", at=AT[1]),), f"wrong content: {BIG}"),
    Row("silence in the middle", (content("stall", at=AT[2], times=2),)),
    Row("slow-loris", (content("trickle", rate=2000, times=1),)),
    Row(
        "slow-loris that closes",
        (content("trickle", rate=2000, headers=(("Connection", "close"),), times=1),),
    ),
    Row("slow-loris, always", (content("trickle", rate=2000),), "gave up after"),
    Row("a small file cut short", (Fault("close", "resolve", match="config.json", at=300, times=1),)),
    Row("a wrong byte in a small file", (Fault("flip", "resolve", match="config.json", at=300, times=1),)),
    # The head
    Row("Range ignored", (content("whole"),)),
    Row("Range ignored, and reset on the way", (content("reset", at=AT[0], times=1), content("whole"))),
    Row("an HTML page instead of the file", (content("status", status=200, body=PAGE, times=1),)),
    Row("an HTML page, always", (content("status", status=200, body=PAGE),), "where the listing says"),
    Row("no answer", (content("mute", seconds=5, times=1),)),
    Row("a head that never ends", (content("drip", seconds=5, times=1),)),
    # Status
    Row("500 in bursts", (content("status", status=500, times=3),)),
    Row("503 in bursts, everywhere", (Fault("status", "any", status=503, times=4),)),
    Row("503, always", (content("status", status=503),), "answered 503"),
    Row("429 without Retry-After", (content("status", status=429, times=2),)),
    Row("429 with Retry-After", (content("status", status=429, headers=(("Retry-After", "1"),), times=1),)),
    Row("429 until a time by a clock of its own", (content("status", status=429, headers=LATE, times=1),)),
    Row("429 for a year", (content("status", status=429, headers=YEAR),), "answered 429"),
    Row("429 on the listing", (Fault("status", "tree", status=429, times=1),)),
    Row(
        "429 on the listing for a year", (Fault("status", "tree", status=429, headers=YEAR),), "answered 429"
    ),
    Row("503 on the model", (Fault("status", "info", status=503, times=2),)),
    Row("401", (Fault("status", "info", status=401),), "not there, or it is private"),
    Row("403, gated", (Fault("status", "info", status=403, headers=GATED),), "accept the licence"),
    Row("403, gated at the files", (Fault("status", "resolve", status=403, headers=GATED),), "is gated"),
    Row("404 for one file", (Fault("status", "resolve", match=BIG, status=404),), "is not there"),
    # Where it leads
    Row("an expired redirect", (content("status", status=403, times=2),)),
    Row("a redirect to a dead host", (Fault("redirect", "resolve", match=BIG, location=DEAD, times=2),)),
    Row(
        "always to a dead host", (Fault("redirect", "resolve", match=BIG, location=DEAD),), "does not answer"
    ),
    Row("a redirect to itself", (Fault("redirect", "resolve", match=BIG, location="?"),), "redirected more"),
    Row(
        "a redirect to a file",
        (Fault("redirect", "resolve", match=BIG, location="file:///etc/passwd"),),
        "what is no address",
    ),
    # The metadata
    Row(
        "an HTML page instead of the model",
        (Fault("status", "info", status=200, body=PAGE),),
        "not the Hub's JSON",
    ),
    Row(
        "an HTML page instead of the listing", (Fault("status", "tree", status=200, body=PAGE),), "Hub's JSON"
    ),
    Row(
        "a list instead of the model",
        (Fault("status", "info", status=200, body=b"[1]"),),
        "not the Hub's JSON",
    ),
    Row("entries that are none", (Fault("status", "tree", status=200, body=b'[{"a":1}]'),), "Hub's JSON"),
    Row("no commit", (Fault("status", "info", status=200, body=b'{"id":"a/b","sha":"../x"}'),), "no commit"),
    Row("a listing of 40 MiB", (Fault("status", "tree", status=200, body=b" " * 40 * MIB),), "of metadata"),
    Row("a listing that never comes", (Fault("mute", "tree", seconds=9),), "did not finish|does not answer"),
    Row("a listing whose head never ends", (Fault("drip", "tree", seconds=9),), "did not finish"),
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


def test_a_revision_that_is_not_there(folder: Path, fetch: Callable[..., weights.Snapshot]) -> None:
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="check --revision"):
        fetch(hub.url, revision="v9")


def test_a_bad_file_does_not_keep_the_others(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    with serve_folder(folder, faults=(content("flip", at=5),)) as hub:
        with pytest.raises(SlipwayError):
            fetch(hub.url)
        asked = len(hub.requests)
    there = {at.name for at in cache.glob("models--*/snapshots/*/**/*") if at.is_file()}
    assert there == {Path(name).name for name in SIZES} - {BIG}
    with serve_folder(folder) as hub:
        fetch(hub.url)
        assert {
            request.target.rpartition("/")[2] for request in hub.requests if "storage" in request.target
        } == {BIG}
    assert asked > 0


def test_a_hiccup_for_every_small_file(tmp_path: Path, cache: Path) -> None:
    names = [f"part-{number}.txt" for number in range(3 * QUICK.attempts)]
    for name in names:
        at = tmp_path / "many" / MODEL / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(name)
    hiccups = tuple(Fault("reset", "resolve", match=name, times=1) for name in names)
    with serve_folder(tmp_path / "many", faults=hiccups) as hub:
        found = weights.fetch(MODEL, cache=cache, endpoint=hub.url, patience=QUICK, streams=1)
    assert found.files == len(names)
