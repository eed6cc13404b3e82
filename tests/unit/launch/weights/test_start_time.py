"""When a fetch with --at starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from errors import Refused
from launch.weights.start_time import next_time, parse, wait_until

NOON = datetime(2026, 11, 27, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("13:00", NOON.replace(hour=13, second=0)),
        ("02:00", NOON.replace(day=28, hour=2, second=0)),
        ("11:59", NOON.replace(day=28, hour=11, minute=59, second=0)),
        ("12:00", NOON),
    ],
)
def test_next_time_is_within_a_day(at: str, expected: datetime) -> None:
    assert next_time(at, NOON) == expected


def test_parse_accepts_times_of_the_day_only() -> None:
    assert [parse("--at", text) for text in ("2:00", "02:00", "23:59", "0:00")] == [
        "02:00",
        "02:00",
        "23:59",
        "00:00",
    ]
    for text in ("24:00", "12:60", "noon", "12", "12:00:00", ""):
        with pytest.raises(Refused, match="--at must be a time of the day"):
            parse("--at", text)


def test_wait_until_returns_when_the_moment_is_there() -> None:
    start = datetime.now(UTC)
    wait_until(start - timedelta(hours=1))
    wait_until(start + timedelta(seconds=0.2))
    assert timedelta(seconds=0.2) <= datetime.now(UTC) - start < timedelta(seconds=5)
