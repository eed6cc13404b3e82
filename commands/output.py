"""Data goes to stdout, progress to stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def emit(data: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(data, indent=2))


def say(line: str) -> None:
    """One line of progress on stderr; the work goes on where nobody reads it any longer."""
    try:
        print(line, file=sys.stderr, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class Bar:
    """A step's progress. `update(done, total, note)` may be called as often as one likes."""

    def __init__(self, title: str, progress: Any, task_id: Any) -> None:
        self.title, self._progress, self._task = title, progress, task_id
        self._last = time.monotonic()

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Show how far the step is; without a terminal at most one line in five seconds."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
        elif time.monotonic() - self._last >= 5:
            self._last = time.monotonic()
            say(f"  {self.title}: {_share(done, total)}{note}")


def _share(done: float, total: float | None) -> str:
    return f"{done / total:.0%} " if total else ""


@contextmanager
def bar(title: str, plain: bool = False) -> Iterator[Bar]:
    """A progress bar for one long step, ended by a line with its seconds; `plain` beside another one's bars."""
    start = time.monotonic()
    if sys.stderr.isatty() and not plain:
        with _rich() as progress:
            yield Bar(title, progress, progress.add_task(title, total=None, note=""))
    else:
        say(f"{title} ...")
        yield Bar(title, None, None)
    say(f"{title}: done in {time.monotonic() - start:.1f} s")


def _rich() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
