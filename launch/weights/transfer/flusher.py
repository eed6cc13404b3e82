"""Force a file to disk in the background, so that a loss of power costs little and no worker waits for it.

With `fdatasync` in the worker's own thread the network would be idle for as long as the disk takes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

MINIMUM = 4 << 20  # bytes: forcing less at a time costs more than it saves


class Flusher:
    """Follows one growing file. Its writers call `note`, `wait` and `check`; its owner calls the rest."""

    def __init__(self, file: int, size: int) -> None:
        self._file, self._written, self._forced = file, size, size
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._error: OSError | None = None

    def note(self, written: int) -> None:
        """Tell the new length of the file."""
        with self._change:
            self._written = written
            if self._thread is None and self._is_due:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._change.notify_all()

    @property
    def forced(self) -> int:
        """Bytes that are on disk."""
        return self._forced

    @property
    def failed(self) -> bool:
        """Whether the disk reported an error."""
        return self._error is not None

    def check(self) -> None:
        """Raise the disk's OSError. The kernel reports it only once, to the first thread that asks."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Wait a moment for the disk."""
        with self._change:
            self._change.wait(0.2)

    def finish(self) -> None:
        """Force the rest to disk and stop. Raises OSError if any of it failed."""
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
    def _is_due(self) -> bool:
        return self._written - self._forced >= MINIMUM

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
            while not (self._is_due or self._closed):
                self._change.wait()
            return None if self._closed or self._error else self._written
