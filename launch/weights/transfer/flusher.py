"""Forces a file to disk behind its writer, so that what a host without power loses is bounded and nobody waits.

`fdatasync` in the writer's own thread would leave the network idle for as long as the disk takes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

LEAST = 4 << 20  # bytes: forcing less at a time costs more than it saves


class Flusher:
    """Follows one file that only grows. `note`, `wait`, `check` are for its writers, the rest for its owner."""

    def __init__(self, file: int, size: int) -> None:
        self._file, self._written, self._forced = file, size, size
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._error: OSError | None = None

    def note(self, written: int) -> None:
        """The file is this long now."""
        with self._change:
            self._written = written
            if self._thread is None and self._due:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._change.notify_all()

    @property
    def forced(self) -> int:
        """Bytes that the disk has."""
        return self._forced

    @property
    def failed(self) -> bool:
        """Whether the disk did not take what it was given."""
        return self._error is not None

    def check(self) -> None:
        """Raises OSError where the disk failed: it says so once, to the thread that asked first."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Wait a moment for the disk."""
        with self._change:
            self._change.wait(0.2)

    def finish(self) -> None:
        """Force what is left, and stop. Raises OSError where any of it failed."""
        self.close()
        if self._error is None:
            self._force(self._written, os.fsync)
        self.check()

    def close(self) -> None:
        """Stop; the file may be closed after that."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join()

    @property
    def _due(self) -> bool:
        return self._written - self._forced >= LEAST

    def _run(self) -> None:
        while (written := self._next()) is not None:
            self._force(written, os.fdatasync)
            with self._change:
                self._change.notify_all()

    def _force(self, written: int, force: Callable[[int], None]) -> None:
        try:
            force(self._file)
        except OSError as error:
            self._error = error
        else:
            self._forced = written

    def _next(self) -> int | None:
        with self._change:
            while not (self._due or self._closed):
                self._change.wait()
            return None if self._closed or self._error else self._written
