"""How long to go on with a server that fails: pure arithmetic over what it said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime


class Transient(Exception):
    """Something that may be gone the next time. `after` is the seconds that the server asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after = reason, after


@dataclass(frozen=True)
class Patience:
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
    talk: float = 300.0  # for one question about a model, its whole listing for instance
    progress: int = 1 << 20

    def wait(self, failures: int, trouble: Transient) -> float | None:
        """Seconds to wait after so many failures in a row, None to give up."""
        if failures >= self.attempts:
            return None
        if trouble.after is not None:
            return trouble.after if trouble.after <= self.most_asked else None
        return float(min(self.longest, self.first * 2 ** (failures - 1)))


def retry_after(value: str | None, date: str | None) -> float | None:
    """Seconds in a Retry-After header: a number, or a time set against the server's own Date.

    Against the server's clock, because this host's may be wrong or may jump.
    """
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    until, now = _time(value), _time(date or "")
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _time(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
