"""Results go to stdout; progress and messages go to stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from invoke.exceptions import Exit

from commands.program_name import named
from errors import SlipwayError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from launch.weights.progress import TransferProgress

LOG = logging.getLogger(__name__)
LIBRARY = ("launch", "images")
EVERY = 5.0  # seconds between two lines of progress if stderr is not a terminal


def emit(data: Any) -> None:
    """Print one JSON document on stdout."""
    print(named(json.dumps(data, indent=2)))


def show(text: str) -> None:
    """Print text for a person on stdout."""
    print(named(text))


def say(line: str) -> None:
    """Print one line of progress on stderr, unless --quiet is given."""
    LOG.info("%s", line)


def refusal(error: SlipwayError) -> Exit:
    """Return what ends the program with this message and its exit code."""
    return Exit(named(str(error)), code=error.code)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format rows below a header in aligned columns; leave out empty columns."""
    lines = [list(headers), *([str(cell) for cell in row] for row in rows)]
    columns = [column for column in zip(*lines, strict=True) if any(column[1:]) or not rows]
    widths = [max(map(len, column)) for column in columns]
    cells = [[cell.ljust(width) for cell in column] for column, width in zip(columns, widths, strict=True)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*cells, strict=True))


class _Stderr(logging.Handler):
    """Print records as plain lines on the current stderr; continue if its reader is gone."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        try:
            print(f"{prefix}{named(record.getMessage())}", file=sys.stderr, flush=True)
        except BrokenPipeError:
            discard_output(sys.stderr)


def log_to_stderr(verbose: bool = False, quiet: bool = False) -> None:
    """Install the one handler. `verbose` adds what the library logs, `quiet` leaves errors only."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Stderr) for handler in root.handlers):
        root.addHandler(_Stderr())
    logging.getLogger(__package__).setLevel(logging.ERROR if quiet else logging.INFO)
    for name in LIBRARY:
        level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
        logging.getLogger(name).setLevel(level)


def discard_output(stream: TextIO) -> None:
    """Discard further output of a stream whose reader is gone (`invoke plan | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end_output(stream: TextIO) -> None:
    """Write what is buffered. If its reader is gone, it is discarded, so that Python does not fail again at the end."""
    try:
        stream.flush()
    except OSError:
        discard_output(stream)


class Bar:
    """Progress of one step, as a bar for the step and one for each of its parts, or as lines."""

    def __init__(self, title: str, progress: Progress | None) -> None:
        self.title, self._progress = title, progress
        self._whole = progress.add_task(title, total=None, note="") if progress else None
        self._parts: dict[str, TaskID] = {}
        self._last = time.monotonic()

    def update(
        self,
        done: float,
        total: float | None = None,
        note: str = "",
        parts: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Show the progress of the step. `parts` holds bytes done and size of each part in progress, by name."""
        if self._progress is not None and self._whole is not None:
            self._progress.update(self._whole, completed=done, total=total, note=note)
            self._draw(self._progress, parts or {})
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            say(f"  {self.title}: {f'{done / total:.0%} ' if total else ''}{note}")

    def transfer(self, progress: TransferProgress) -> None:
        """Show the progress of a transfer of files."""
        self.update(progress.done, progress.total, progress.note, progress.active)

    def _draw(self, progress: Progress, parts: Mapping[str, tuple[int, int]]) -> None:
        for name in self._parts.keys() - parts.keys():
            progress.remove_task(self._parts.pop(name))
        for name, (done, size) in parts.items():
            if name not in self._parts:
                self._parts[name] = progress.add_task(f"  {name}", total=size, note="")
            progress.update(self._parts[name], completed=done)


@contextmanager
def bar(title: str, plain: bool = False) -> Iterator[Bar]:
    """Show a bar for one long step, then its duration. `plain` prints lines, because another bar is shown."""
    start = time.monotonic()
    if sys.stderr.isatty() and not plain and LOG.isEnabledFor(logging.INFO):
        with _rich() as progress:
            yield Bar(title, progress)
    else:
        say(f"{title} ...")
        yield Bar(title, None)
    say(f"{title}: done in {time.monotonic() - start:.1f} s")


def _rich() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),  # names of files are not trusted
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
