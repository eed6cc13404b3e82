from __future__ import annotations

from pathlib import Path

import pytest

from launch.supervision import events
from launch.supervision.events import Event, Summary, read, record, summary


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))


def event(kind: events.Kind, cause: str = "", server: str = "m2", at: str = "2026-11-27T00:00:00Z") -> Event:
    return Event(at, server, kind, "it exited with 1", cause)


def test_read_returns_what_was_recorded_by_server_and_for_all_in_order() -> None:
    first, second = event("died", at="2026-11-27T00:00:01Z"), event("died", server="other")
    record(first)
    record(second)
    assert read("m2") == [first]
    assert read() == [second, first]
    assert read("unknown") == []


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"kind": "died"}', '{"at": 5, "server": "m2", "kind": "died"}', "\x00"]
)
def test_a_line_without_an_event_is_left_out(line: str) -> None:
    record(event("died"))
    with (events.folder() / "m2.jsonl").open("a") as file:
        file.write(line)
    assert read("m2") == [event("died")]


def test_old_events_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 3)
    for number in range(20):
        record(event("died", cause=str(number)))
    kept = [int(one.cause) for one in read("m2")]
    assert kept == list(range(kept[0], 20))
    assert 3 <= len(kept) <= 6


def test_the_summary_counts_restarts_of_the_newest_supervision() -> None:
    found = [event("supervised"), event("died", "old"), event("restarted"), event("supervised")]
    assert summary(found) == Summary()
    found += [event("died", "CUDA error"), event("restarted"), event("died"), event("fixed")]
    assert summary(found) == Summary(2, "it exited with 1")
    assert summary([*found, event("gave up")]) == Summary(2, "it exited with 1", gave_up=True)
