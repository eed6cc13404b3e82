"""A fetch on the terminal: a bar in total and one for each file in flight; else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from commands.output import say

if TYPE_CHECKING:
    from launch.weights.progress import TransferProgress

EVERY = 5.0  # seconds between plain lines


@contextmanager
def progress(title: str) -> Iterator[Callable[[TransferProgress], None]]:
    """What `fetch` and `verify` are given to show how far they are."""
    start = time.monotonic()
    if sys.stderr.isatty():
        with _rich() as bars:
            yield Bars(title, bars).show
    else:
        yield Lines(title).show
    say(f"{title}: {time.monotonic() - start:.1f} s")


class Lines:
    """A line now and then."""

    def __init__(self, title: str) -> None:
        self._title, self._last = title, time.monotonic()

    def show(self, meter: TransferProgress) -> None:
        """Say how far it is, if it is time to."""
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            say(f"  {self._title}: {meter.note}")


class Bars:
    """Bars of rich."""

    def __init__(self, title: str, bars: Any) -> None:
        self._bars = bars
        self._all = bars.add_task(title, total=None, note="")
        self._files: dict[str, Any] = {}

    def show(self, meter: TransferProgress) -> None:
        """Draw what is in flight now."""
        self._bars.update(self._all, completed=meter.done, total=meter.total, note=meter.note)
        active = meter.active
        for name in self._files.keys() - active.keys():
            self._bars.remove_task(self._files.pop(name))
        for name, (done, size) in active.items():
            if name not in self._files:
                self._files[name] = self._bars.add_task(f"  {name}", total=size, note="")
            self._bars.update(self._files[name], completed=done)


def _rich() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),  # names are not ours
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
