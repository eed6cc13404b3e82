"""Run a request with a timeout and retries: when to try again, how long to wait, when to give up."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from launch.deadline import DeadlineExceeded, call_with_deadline

LONGEST = 1e9  # seconds, instead of infinity
LASTING = 3  # attempts for a failure that another attempt hardly ever changes: a few seconds
UNKNOWN_NAME = 5  # attempts for a name that does not exist: about 10 s, for a resolver that is just starting
REFUSED = 6  # attempts for a port at which nothing listens: 16 s, for a server that is just restarting
SILENT = 2  # attempts for a request for metadata that gets no answer at all

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class TransientError(Exception):
    """A failure that may be gone at the next try. `retry_after` is the time in seconds that the server asked for.

    `attempts` limits the tries for a failure that hardly ever passes; None leaves it to the policy.
    """

    def __init__(self, reason: str, retry_after: float | None = None, attempts: int | None = None) -> None:
        self.attempts = attempts
        self.reason = reason + (f", and asks to wait {retry_after:.0f} s" if retry_after else "")
        self.retry_after = retry_after
        super().__init__(self.reason)


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again and when to stop; times in seconds.

    A connection that brings less than `read_minimum` bytes in `read_timeout` counts as broken. Failures are
    counted from the last `progress_bytes` on: a long download may have many, a dead server has few.
    """

    attempts: int = 9
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 600.0
    connect_timeout: float = 15.0
    read_timeout: float = 30.0
    metadata_timeout: float = 9.0  # for the first byte of metadata, and each one after it
    read_minimum: int = 16 << 10
    response_timeout: float = 18.0  # for a whole response of metadata, such as one page of a listing
    progress_bytes: int = 1 << 20

    def wait(self, failures: int, error: TransientError) -> float | None:
        """Return the seconds to wait after so many failures in a row, or None to give up."""
        if failures >= min(self.attempts, error.attempts or self.attempts):
            return None
        own = float(min(self.longest_wait, self.first_wait * 2 ** (failures - 1)))
        if error.retry_after is None:
            return own
        if error.retry_after > self.longest_retry_after:
            return None
        # The first time as the server asks; a server that keeps asking for no wait at all would be hammered.
        return error.retry_after if failures == 1 else max(error.retry_after, own)


def call_with_retries(
    policy: RetryPolicy,
    function: Callable[[], Result],
    transient: Callable[[Exception], TransientError],
    where: str,
) -> Result:
    """Return what `function` returns. Raises the last TransientError when the policy ends the retries.

    `transient` turns an exception of `function` into a TransientError, or raises the final error. All calls
    together get the policy's `response_timeout`: a server that never completes a response is given up after it.
    `where` names the server in the log.
    """
    spent, failures = 0.0, 0
    while True:
        start = time.monotonic()
        try:
            return call_with_deadline(max(0.0, policy.response_timeout - spent), function)
        except DeadlineExceeded:
            error = TransientError(f"its response was not complete after {policy.response_timeout:.0f} s")
        except Exception as exception:
            error = transient(exception)
        spent, failures = spent + time.monotonic() - start, failures + 1
        seconds = policy.wait(failures, error)
        if seconds is None or spent >= policy.response_timeout:
            raise error
        logger.warning("%s: %s; trying again in %.0f s", where, error.reason, seconds)
        time.sleep(seconds)


class Headers(Protocol):
    """Response headers, looked up without regard to case."""

    def get(self, name: str, /) -> Any:
        """Return the value, or None."""


def retry_after(headers: Headers) -> float | None:
    """Return the seconds that a response asks to wait: Retry-After, or the Hub's `RateLimit: "api";r=0;t=55`."""
    seconds = _retry_after(headers.get("Retry-After"), headers.get("Date"))
    if seconds is not None:
        return seconds
    limit = re.search(r";\s*r=0\s*;\s*t=(\d{1,12})\b", headers.get("RateLimit") or "", re.ASCII)
    return float(limit[1]) if limit else None


def _retry_after(value: str | None, date: str | None) -> float | None:
    """Return the seconds in a Retry-After header: a number, or a time relative to the server's own Date.

    This host's clock is not used, since it may be wrong or may jump.
    """
    if not value:
        return None
    if re.fullmatch(r"\d+", value.strip(), re.ASCII):
        return min(float(value), LONGEST)
    until, now = _time(value), _time(date or "")
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)  # a time without a zone is meant as GMT
