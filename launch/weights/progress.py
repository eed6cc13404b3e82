"""How far a fetch is: counted by many threads, read by one that shows it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

WINDOW = 5.0  # seconds over which the rate is measured


@dataclass
class TransferProgress:
    """Bytes done and to do, in total and for each file in flight. `start` bytes were there already."""

    total: int = 0
    start: int = 0
    trouble: str = ""  # what went wrong last, for whoever waits for the next try
    _done: int = 0
    _files: dict[str, list[int]] = field(default_factory=dict)
    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str, size: int, done: int = 0) -> None:
        """A file is in flight, `done` bytes of it whole."""
        with self._lock:
            self._files[name] = [done, size]
            self._done += done

    def add(self, name: str, count: int) -> None:
        """More bytes of a file; negative where bytes turned out to be wrong."""
        with self._lock:
            self._done += count
            if name in self._files:
                self._files[name][0] += count

    def end(self, name: str) -> None:
        """A file is whole, or given up."""
        with self._lock:
            self._files.pop(name, None)

    @property
    def done(self) -> int:
        """Bytes on disk, those of earlier runs included."""
        return self.start + self._done

    @property
    def active(self) -> dict[str, tuple[int, int]]:
        """Bytes done and size of each file in flight."""
        with self._lock:
            return {name: (done, size) for name, (done, size) in self._files.items()}

    def rate(self) -> float:
        """Bytes a second over the last few seconds, by a clock that nobody can set."""
        now = time.monotonic()
        with self._lock:
            self._seen.append((now, self._done))
            while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
                self._seen.popleft()
            (then, before), done = self._seen[0], self._done
        return max(0.0, (done - before) / (now - then)) if now > then else 0.0

    @property
    def note(self) -> str:
        """`1.2 of 214.3 GiB, 480 MiB/s, 7:31 left`."""
        rate = self.rate()
        words = [f"{amount(self.done)} of {amount(self.total)}"]
        if rate > 0:
            left = round((self.total - self.done) / rate)
            words += [f"{amount(rate)}/s", f"{left // 60}:{left % 60:02d} left"]
        words += [self.trouble] if self.trouble and rate == 0 else []
        return ", ".join(words)


def amount(count: float) -> str:
    """Bytes in the largest binary unit that keeps them above one: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
