"""Limit the bytes per second of all workers together."""

from __future__ import annotations

import re
import threading
import time

from errors import Refused

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LOWEST = 1 << 10  # bytes per second; less is a typing error
PER_SECOND = 8  # reads that share one second's bytes


class RateLimit:
    """Bytes per second. Threads share it."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    @property
    def most(self) -> int:
        """Bytes to receive at a time, so that the transfer is even."""
        return max(LOWEST, self.rate // PER_SECOND)

    def spend(self, count: int, stop: threading.Event) -> None:
        """Count received bytes, and wait until they are within the limit, or until `stop`."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self.rate
            seconds = self._free_at - now
        stop.wait(max(0.0, seconds))


def parse(label: str, given: str) -> int:
    """Return bytes per second from text such as `50M`, in binary units as curl and wget have. Raises Refused."""
    match = re.fullmatch(
        r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMG]?)(?:i?B)?(?:/s)?", given.strip(), re.IGNORECASE
    )
    rate = round(float(match[1]) * UNITS[match[2].upper()]) if match else 0
    if rate < LOWEST:
        raise Refused(f"{label} must be bytes per second such as 50M, at least 1K (got '{given[:60]}')")
    return rate
