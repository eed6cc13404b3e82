"""Which of several sources is used next."""

from __future__ import annotations

from typing import cast

from launch.weights.source import Source
from launch.weights.sources.candidate import Candidate, best

NOTHING = cast("Source", None)


def candidate(name: str, rate: float = 0.0) -> Candidate:
    made = Candidate(name, NOTHING, frozenset({"a"}))
    if rate:
        made.measure(round(rate), 1.0)
    return made


def test_best_is_one_of_unknown_speed_first_and_the_one_with_fewest_readers() -> None:
    fast, new, busy = candidate("fast", 9e9), candidate("new"), candidate("busy")
    busy.occupy(1)
    assert best([fast, busy, new]) is new


def test_best_is_the_fastest_and_in_doubt_the_first() -> None:
    slow, fast, twin = candidate("slow", 10), candidate("fast", 1000), candidate("twin", 1000)
    assert best([slow, fast, twin]) is fast


def test_best_avoids_one_that_has_just_failed_unless_it_is_alone() -> None:
    fast, slow = candidate("fast", 1000), candidate("slow", 10)
    assert fast.fail() == 1
    assert best([fast, slow]) is slow
    assert best([fast]) is fast


def test_bytes_end_a_row_of_failures() -> None:
    one = candidate("one")
    one.fail()
    one.count(5)
    assert (one.failures, one.received, one.fail()) == (0, 5, 1)


def test_a_dropped_source_has_no_file() -> None:
    one = candidate("one")
    assert one.has("a")
    assert not one.has("b")
    one.dropped = "it sent other bytes"
    assert not one.has("a")
