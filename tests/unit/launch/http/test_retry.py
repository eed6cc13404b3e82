from __future__ import annotations

import pytest

from launch.http.retry import RetryPolicy, Transient, asked_wait, retry_after

NOW = "Wed, 01 Jan 2020 00:00:00 GMT"


def test_waits_double_up_to_the_longest_and_then_end() -> None:
    patience = RetryPolicy(attempts=6, first=0.5, longest=3)
    waits = [patience.wait(failures, Transient("reset")) for failures in range(1, 7)]
    assert waits == [0.5, 1, 2, 3, 3, None]


def test_what_the_server_asks_for_is_given_within_reason() -> None:
    patience = RetryPolicy(most_asked=600)
    assert patience.wait(1, Transient("429", after=90)) == 90
    assert patience.wait(1, Transient("429", after=0)) == 0
    assert patience.wait(1, Transient("429", after=86_400)) is None


def test_patience_ends_although_the_server_asks_for_more() -> None:
    assert RetryPolicy(attempts=3).wait(3, Transient("429", after=1)) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "9", "RateLimit": '"api";r=0;t=55'}, 9),
        ({"RateLimit": '"resolvers";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=12;t=55'}, None),  # the limit is not the reason
        ({}, None),
    ],
)
def test_what_an_answer_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers) == seconds


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("120", None, 120),
        (" 7 ", None, 7),
        ("0", None, 0),
        ("Wed, 01 Jan 2020 00:01:30 GMT", NOW, 90),
        ("Tue, 31 Dec 2019 23:59:00 GMT", NOW, 0),
        ("Wed, 01 Jan 2020 00:01:30 GMT", None, None),  # without the server's clock a time says nothing
        ("soon", NOW, None),
        ("-5", NOW, None),
        ("", NOW, None),
        (None, NOW, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after(value, date) == seconds
