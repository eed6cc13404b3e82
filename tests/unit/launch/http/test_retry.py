from __future__ import annotations

import time

import pytest

from launch.http.retry import RetryPolicy, TransientError, call_with_retries, retry_after

NOW = "Wed, 01 Jan 2020 00:00:00 GMT"


def test_wait_doubles_up_to_the_longest_and_then_ends() -> None:
    policy = RetryPolicy(attempts=6, first_wait=0.5, longest_wait=3)
    waits = [policy.wait(failures, TransientError("reset")) for failures in range(1, 7)]
    assert waits == [0.5, 1, 2, 3, 3, None]


def test_wait_follows_the_server_within_a_limit() -> None:
    policy = RetryPolicy(longest_retry_after=600)
    assert policy.wait(1, TransientError("429", retry_after=90)) == 90
    assert policy.wait(1, TransientError("429", retry_after=0)) == 0
    assert policy.wait(2, TransientError("429", retry_after=0)) == 1
    assert policy.wait(1, TransientError("429", retry_after=86_400)) is None


def test_wait_ends_although_the_server_asks_for_more() -> None:
    assert RetryPolicy(attempts=3).wait(3, TransientError("429", retry_after=1)) is None


def pass_on(error: Exception) -> TransientError:
    if isinstance(error, TransientError):
        return error
    raise error


def test_call_with_retries_returns_the_first_success(caplog: pytest.LogCaptureFixture) -> None:
    failures = iter([TransientError("reset"), TransientError("reset"), None])

    def function() -> str:
        if error := next(failures):
            raise error
        return "done"

    assert call_with_retries(RetryPolicy(first_wait=0), function, pass_on, "hub") == "done"
    assert caplog.messages == ["hub: reset; trying again in 0 s"] * 2


def test_call_with_retries_raises_other_errors_at_once() -> None:
    def function() -> None:
        raise LookupError("no retry")

    with pytest.raises(LookupError):
        call_with_retries(RetryPolicy(), function, pass_on, "hub")


def test_call_with_retries_ends_for_a_server_that_never_completes_a_response() -> None:
    begin = time.monotonic()
    with pytest.raises(TransientError, match="was not complete after"):
        call_with_retries(
            RetryPolicy(first_wait=0, response_timeout=0.1), lambda: time.sleep(1), pass_on, "hub"
        )
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "9", "RateLimit": '"api";r=0;t=55'}, 9),
        ({"RateLimit": '"resolvers";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=12;t=55'}, None),  # requests are left, so the limit is not the reason
        ({"Retry-After": "Wed, 01 Jan 2020 00:01:30 GMT", "Date": NOW}, 90),
        ({"Retry-After": "Tue, 31 Dec 2019 23:59:00 GMT", "Date": NOW}, 0),
        ({"Retry-After": "Wed, 01 Jan 2020 00:01:30 GMT"}, None),  # unknown without the server's clock
        ({"Retry-After": "soon", "Date": NOW}, None),
        ({"Retry-After": "-5", "Date": NOW}, None),
        ({"Retry-After": "", "Date": NOW}, None),
        ({}, None),
    ],
)
def test_retry_after_reads_seconds_and_times(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
