"""Wait for a time of the day before a transfer starts, for networks that are free at night."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from errors import Refused

LOOK = 30.0  # seconds between two looks at the clock, which a suspended host or a time server moves


def parse(label: str, given: str) -> str:
    """Return a time of the day as `HH:MM`. Raises Refused."""
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", given.strip())
    if not match:
        raise Refused(f"{label} must be a time of the day such as 02:00 (got '{given[:60]}')")
    return f"{int(match[1]):02d}:{match[2]}"


def next_time(at: str, now: datetime) -> datetime:
    """Return when the clock shows this time next: within a day, at once if it shows it now."""
    hour, minute = map(int, at.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if (now.hour, now.minute) == (hour, minute):
        return now
    return today if today > now else today + timedelta(days=1)


def wait_until(moment: datetime) -> None:
    """Wait, at most a day and some seconds. Ctrl-C ends it."""
    while (seconds := (moment - datetime.now(moment.tzinfo)).total_seconds()) > 0:
        time.sleep(min(seconds, LOOK))
