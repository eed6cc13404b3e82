"""The engine's progress records of a pull and a push."""

from __future__ import annotations

from typing import Any

import pytest

from errors import Failed
from launch.engine.images import follow

Record = dict[str, Any]


def moving(layer: str, status: str, now: int, total: int) -> Record:
    return {"id": layer, "status": status, "progressDetail": {"current": now, "total": total}}


@pytest.mark.parametrize(
    ("during", "end"),
    [("Downloading", "Download complete"), ("Pushing", "Pushed"), ("Downloading", "Pull complete")],
)
def test_follow_adds_up_the_bytes_of_all_layers(during: str, end: str) -> None:
    calls: list[tuple[float, float | None]] = []
    records = [
        {"id": "a", "status": "Preparing", "progressDetail": {}},
        moving("a", during, 10, 100),
        moving("b", during, 5, 50),
        {"id": "a", "status": end, "progressDetail": {}},
    ]
    follow(records, lambda done, total, note: calls.append((done, total)))
    assert calls == [(0, None), (10, 100), (15, 150), (105, 150)]


def test_follow_returns_the_digest_at_the_end_of_a_push() -> None:
    records: list[Record] = [
        {"status": "Pushed"},
        {"aux": {"Digest": "sha256:1"}},
        {"status": "done", "aux": None},
    ]
    assert follow(records, lambda *_: None) == "sha256:1"
    assert follow([{"status": "Pull complete"}], lambda *_: None) == ""


def test_follow_fails_for_an_error_record() -> None:
    with pytest.raises(Failed) as failed:
        follow([{"status": "Pulling"}, {"error": "manifest unknown"}], lambda *_: None)
    assert failed.value.why == "manifest unknown"
