"""Faults that a served Hub can be told to have: what networks, proxies and tired servers really do.

A fault names the requests it meets (`where`, `match`), how many of them (`skip`, `times`) and what goes
wrong. Byte positions count from the start of the file, the same for whole and for ranged reads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatch

PLACES = ("info", "tree", "resolve", "content", "whoami", "any")
KINDS = (
    "status",  # answer `status` with `headers` and `body`
    "reset",  # send up to byte `at`, then reset the connection
    "close",  # announce the whole length, close politely at byte `at`
    "flip",  # send the byte at `at` with its lowest bit turned
    "stall",  # send up to byte `at`, then nothing for `seconds`
    "trickle",  # `rate` bytes a second
    "whole",  # ignore Range: answer 200 with the whole file
    "redirect",  # answer 302 to `location`
    "mute",  # take the request and say nothing for `seconds`
    "drip",  # send a head that never ends, a byte at a time, for `seconds`
    "before",  # send `body` as it is, then the answer
    "raw",  # send `body` as it is instead of the answer, then close
    "heads",  # answer with `headers` in place of those of the same name
    "cap",  # answer a range with its first `rate` bytes, and say so
)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    where: str = "content"
    match: str = "*"
    times: int = 1 << 30
    skip: int = 0
    at: int = 0
    status: int = 503
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    location: str = ""
    seconds: float = 3600.0
    rate: int = 1024

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.where not in PLACES:
            raise ValueError(f"no such fault: {self.kind} at {self.where}")

    def meets(self, where: str, name: str) -> bool:
        """Whether a request of this kind for this file is one of those it is meant for."""
        return self.where in (where, "any") and fnmatch(name, self.match)


@dataclass
class Script:
    """The faults still to come, in the order they were written; safe to ask from many threads."""

    faults: tuple[Fault, ...] = ()
    _met: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, where: str, name: str, first: int, last: int) -> Fault | None:
        """The fault for this request of bytes `first` to `last` (exclusive), if it is due one."""
        with self._lock:
            for number, fault in enumerate(self.faults):
                if not fault.meets(where, name) or not _reaches(fault, first, last):
                    continue
                met = self._met[number] = self._met.get(number, 0) + 1
                if fault.skip < met <= fault.skip + fault.times:
                    return fault
        return None


def _reaches(fault: Fault, first: int, last: int) -> bool:
    """A fault at a byte meets only the request that carries the byte."""
    return fault.kind not in ("reset", "close", "flip", "stall") or first <= fault.at < max(last, first + 1)
