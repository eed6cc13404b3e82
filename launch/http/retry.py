"""How long to go on with a server that fails: pure arithmetic over what it said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol


class Transient(Exception):
    """Something that may be gone the next time. `after` is the seconds that the server asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        asked = f", and asks to wait {after:.0f} s" if after else ""
        super().__init__(reason + asked)
        self.reason, self.after = reason + asked, after


FOREVER = 1e9  # seconds


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again and when to stop; times in seconds.

    A stream that brings less than `floor` bytes in `silence` seconds counts as broken. Failures are counted
    from the last `progress` bytes on, so a long download may have many of them and a dead server has few.
    """

    attempts: int = 9
    first: float = 0.5
    longest: float = 30.0
    most_asked: float = 600.0
    connect: float = 15.0
    silence: float = 30.0
    floor: int = 16 << 10
    talk: float = 60.0  # for one question about a model, a page of its listing for instance
    progress: int = 1 << 20

    def wait(self, failures: int, trouble: Transient) -> float | None:
        """Seconds to wait after so many failures in a row, None to give up."""
        if failures >= self.attempts:
            return None
        own = float(min(self.longest, self.first * 2 ** (failures - 1)))
        if trouble.after is None:
            return own
        if trouble.after > self.most_asked:
            return None
        # What the server asks for, once; a server that goes on asking for no time at all is not believed.
        return trouble.after if failures == 1 else max(trouble.after, own)


class Headers(Protocol):
    """The headers of an answer, asked for without regard to case."""

    def get(self, name: str, /) -> Any:
        """The value, None where there is none."""


def asked_wait(headers: Headers) -> float | None:
    """Seconds that an answer asks to wait: Retry-After, or the Hub's own `RateLimit: "api";r=0;t=55`."""
    if (after := retry_after(headers.get("Retry-After"), headers.get("Date"))) is not None:
        return after
    found = re.search(r";\s*r=0\s*;\s*t=(\d{1,12})\b", headers.get("RateLimit") or "", re.ASCII)
    return float(found[1]) if found else None


def retry_after(value: str | None, date: str | None) -> float | None:
    """Seconds in a Retry-After header: a number, or a time set against the server's own Date.

    Against the server's clock, because this host's may be wrong or may jump.
    """
    if not value:
        return None
    if re.fullmatch(r"\d+", value.strip(), re.ASCII):
        return min(float(value), FOREVER)
    until, now = _time(value), _time(date or "")
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)  # a time without a zone is meant as GMT
