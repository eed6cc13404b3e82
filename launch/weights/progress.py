"""Progress of a transfer, updated by many threads, and byte counts as text."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

WINDOW = 5.0  # seconds over which the rate is measured


@dataclass
class TransferProgress:
    """Bytes done and to do, in total and of each active file. `start` bytes were there before."""

    total: int = 0
    start: int = 0
    trouble: str = ""  # why the transfer waits
    _done: int = 0
    _files: dict[str, list[int]] = field(default_factory=dict)
    _history: deque[tuple[float, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str, size: int, done: int = 0) -> None:
        """Add an active file, of which `done` bytes are complete."""
        with self._lock:
            self._files[name] = [done, size]
            self._done += done

    def add(self, name: str, count: int) -> None:
        """Count bytes of a file; a negative count takes back bytes that were wrong."""
        with self._lock:
            self._done += count
            if name in self._files:
                self._files[name][0] += count

    def end(self, name: str) -> None:
        """Remove a file that is complete, or given up."""
        with self._lock:
            self._files.pop(name, None)

    @property
    def done(self) -> int:
        """Bytes on disk, including those of earlier runs."""
        return self.start + self._done

    @property
    def active(self) -> dict[str, tuple[int, int]]:
        """Bytes done and size of each active file."""
        with self._lock:
            return {name: (done, size) for name, (done, size) in self._files.items()}

    def rate(self) -> float:
        """Return bytes per second over the last seconds, by a clock that cannot be set."""
        now = time.monotonic()
        with self._lock:
            self._history.append((now, self._done))
            while len(self._history) > 2 and now - self._history[0][0] > WINDOW:
                self._history.popleft()
            (then, before), done = self._history[0], self._done
        return max(0.0, (done - before) / (now - then)) if now > then else 0.0

    @property
    def note(self) -> str:
        """The progress as text: `1.2 of 214.3 GiB, 480 MiB/s, 7:31 left`."""
        rate = self.rate()
        parts = [f"{amount(self.done)} of {amount(self.total)}"]
        if rate > 0:
            left = round((self.total - self.done) / rate)
            parts += [f"{amount(rate)}/s", f"{left // 60}:{left % 60:02d} left"]
        parts += [self.trouble] if self.trouble and rate == 0 else []
        return ", ".join(parts)


def amount(count: float) -> str:
    """Return a number of bytes in its largest binary unit: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def gb(count: int | None) -> str:
    """Return a number of bytes in gigabytes (10^9), as disks are sold; "an unknown amount" for None."""
    return "an unknown amount" if count is None else f"{count / 1e9:.0f} GB"
