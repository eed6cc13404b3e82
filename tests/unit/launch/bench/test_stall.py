"""A server that hangs under a load, from readings, and from a thread that ends the load."""

from __future__ import annotations

from itertools import count
from threading import Event

import pytest

from launch.bench.stall import HANGS, SILENT, Stall, StallWatch


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([(5, 1), (400, 2), (600, 3)], ""),  # a step each time
        ([(5, 1), (5 + HANGS, 1)], ""),
        ([(5, 1), (6 + HANGS, 1)], "the server made no step for 300 s"),
        ([(5, 1), (6 + HANGS, 2)], ""),
        ([(SILENT, None)], ""),
        ([(5, 1), (6 + SILENT, None)], "the server did not answer for 60 s"),
        ([(50, None), (59, 1), (100, None), (110, 2)], ""),
    ],
)
def test_a_server_hangs_if_it_makes_no_step_or_does_not_answer(
    readings: list[tuple[float, int | None]], expected: str
) -> None:
    stall = Stall(0, 0)
    assert [stall.seen(at, steps) for at, steps in readings][-1] == expected


def test_the_load_of_a_server_that_hangs_is_ended() -> None:
    ended = Event()
    times = count(0, 100)
    with StallWatch(lambda: 7, ended.set, every=0.001, clock=lambda: next(times)) as watch:
        assert ended.wait(10)
    assert watch.reason == "the server made no step for 300 s"


def test_the_load_of_a_server_that_works_is_not_ended() -> None:
    ended, read = Event(), Event()
    steps, times = count(), count(0, 100)

    def next_steps() -> int:
        if (number := next(steps)) > 20:
            read.set()
        return number

    with StallWatch(next_steps, ended.set, every=0.001, clock=lambda: next(times)) as watch:
        assert read.wait(10)
    assert (watch.reason, ended.is_set()) == ("", False)
