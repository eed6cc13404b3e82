"""Networks, storages and Hubs that fail: a fetch ends with the right content, or with one clear error."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.fault_table import Row, assert_outcome, content
from tests.hub.faults import Fault, serve_folder

MIB = 1 << 20
PAGE = b"<!doctype html><title>Sign in</title><p>Welcome to the hotel's network</p>"
GATED = (("x-error-code", "GatedRepo"),)
DEAD = "http://127.0.0.1:9/dead"
RETRY_BY_DATE = (("Retry-After", "Wed, 01 Jan 2020 00:00:01 GMT"), ("Date", "Wed, 01 Jan 2020 00:00:00 GMT"))
RETRY_IN_A_YEAR = (("Retry-After", "31536000"),)
AT = random.Random(2026).sample(range(SIZES[BIG]), 6)  # random bytes at which connections break


TABLE = [
    # The body
    *(Row(f"reset at byte {at}", (content("reset", at=at, times=1),)) for at in AT[:3]),
    *(Row(f"closed at byte {at}", (content("close", at=at, times=1),)) for at in AT[3:]),
    Row("reset before the first byte, 3 times", (content("reset", at=0, times=3),)),
    Row("reset at the last byte", (content("reset", at=SIZES[BIG] - 1, times=1),)),
    Row("reset always at the same byte", (content("reset", at=AT[0]),), "gave up after"),
    Row("one wrong byte, once", (content("flip", at=AT[1], times=1),)),
    Row("one wrong byte, always", (content("flip", at=AT[1]),), f"wrong content: {BIG}"),
    Row("a stall in the middle", (content("stall", at=AT[2], times=2),)),
    Row("a few bytes a second", (content("trickle", rate=2000, times=1),)),
    Row(
        "a few bytes a second, then closed",
        (content("trickle", rate=2000, headers=(("Connection", "close"),), times=1),),
    ),
    Row("always a few bytes a second", (content("trickle", rate=2000),), "gave up after"),
    Row("a small file cut short", (Fault("close", "resolve", match="config.json", at=300, times=1),)),
    Row("a wrong byte in a small file", (Fault("flip", "resolve", match="config.json", at=300, times=1),)),
    # The head
    Row("Range ignored", (content("whole"),)),
    Row("Range ignored, and reset on the way", (content("reset", at=AT[0], times=1), content("whole"))),
    Row("an HTML page instead of the file", (content("status", status=200, body=PAGE, times=1),)),
    Row("always an HTML page", (content("status", status=200, body=PAGE),), "the listing says"),
    Row("no answer", (content("mute", seconds=5, times=1),)),
    Row("a head that never ends", (content("drip", seconds=5, times=1),)),
    # Status
    Row("500 in bursts", (content("status", status=500, times=3),)),
    Row("503 in bursts, everywhere", (Fault("status", "any", status=503, times=4),)),
    Row("503, always", (content("status", status=503),), "answered 503"),
    Row("429 without Retry-After", (content("status", status=429, times=2),)),
    Row("429 with Retry-After", (content("status", status=429, headers=(("Retry-After", "1"),), times=1),)),
    Row(
        "429 until a time by the server's clock",
        (content("status", status=429, headers=RETRY_BY_DATE, times=1),),
    ),
    Row("429 for a year", (content("status", status=429, headers=RETRY_IN_A_YEAR),), "answered 429"),
    Row("429 on the listing", (Fault("status", "tree", status=429, times=1),)),
    Row(
        "429 on the listing for a year",
        (Fault("status", "tree", status=429, headers=RETRY_IN_A_YEAR),),
        "answered 429",
    ),
    Row("503 on the model", (Fault("status", "info", status=503, times=2),)),
    Row("401", (Fault("status", "info", status=401),), "does not exist, or it is private"),
    Row("403, gated", (Fault("status", "info", status=403, headers=GATED),), "accept the license"),
    Row("403, gated at the files", (Fault("status", "resolve", status=403, headers=GATED),), "is gated"),
    Row("404 for one file", (Fault("status", "resolve", match=BIG, status=404),), "does not exist"),
    # Redirects
    Row("an expired redirect", (content("status", status=403, times=2),)),
    Row("a redirect to a dead host", (Fault("redirect", "resolve", match=BIG, location=DEAD, times=2),)),
    Row(
        "always to a dead host", (Fault("redirect", "resolve", match=BIG, location=DEAD),), "does not answer"
    ),
    Row("a redirect to itself", (Fault("redirect", "resolve", match=BIG, location="?"),), "redirected more"),
    Row(
        "a redirect to a file",
        (Fault("redirect", "resolve", match=BIG, location="file:///etc/passwd"),),
        "no valid URL",
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
    Row("invalid entries", (Fault("status", "tree", status=200, body=b'[{"a":1}]'),), "Hub's JSON"),
    Row(
        "no commit",
        (Fault("status", "info", status=200, body=b'{"id":"a/b","sha":"../x"}'),),
        "no valid commit",
    ),
    Row(
        "a listing of 40 MiB",
        (Fault("status", "tree", status=200, body=b" " * 40 * MIB),),
        "sends more than 16 MiB",
    ),
    Row("a listing that never comes", (Fault("mute", "tree", seconds=9),), "not complete|does not answer"),
    Row("a listing whose head never ends", (Fault("drip", "tree", seconds=9),), "not complete"),
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


def test_fetch_fails_for_an_unknown_revision(folder: Path, fetch: Callable[..., Snapshot]) -> None:
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="check --revision"):
        fetch(hub.url, revision="v9")


def test_fetch_publishes_the_other_files_if_one_is_wrong(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    with serve_folder(folder, faults=(content("flip", at=5),)) as hub, pytest.raises(SlipwayError):
        fetch(hub.url)
    names = {path.name for path in cache.glob("models--*/snapshots/*/**/*") if path.is_file()}
    assert names == {Path(name).name for name in SIZES} - {BIG}
    with serve_folder(folder) as hub:
        fetch(hub.url)
        assert {
            request.target.rpartition("/")[2] for request in hub.requests if "storage" in request.target
        } == {BIG}


def test_fetch_succeeds_if_every_small_file_fails_once(tmp_path: Path, cache: Path) -> None:
    names = [f"part-{number}.txt" for number in range(3 * QUICK.attempts)]
    for name in names:
        path = tmp_path / "many" / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    faults = tuple(Fault("reset", "resolve", match=name, times=1) for name in names)
    with serve_folder(tmp_path / "many", faults=faults) as hub:
        snapshot = fetch_model(MODEL, cache=cache, endpoint=hub.url, policy=QUICK, workers=1)
    assert snapshot.files == len(names)
