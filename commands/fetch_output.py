"""What `invoke fetch` shows: text, one JSON document, or a JSON object a line while it runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from commands.output import bar, discard_output, emit, say
from commands.program_name import named
from errors import SlipwayError

if TYPE_CHECKING:
    from launch.weights.fetch_plan import FetchPlan
    from launch.weights.progress import TransferProgress
    from launch.weights.snapshot import Snapshot

FORMATS = ("text", "json", "jsonl")
EVERY = 1.0  # seconds between two lines of progress


def event(kind: str, **facts: Any) -> None:
    """Print one JSON object as a line; a fetch continues if its reader is gone."""
    try:
        print(named(json.dumps({"event": kind, **facts})), flush=True)
    except BrokenPipeError:
        discard_output(sys.stdout)


@contextmanager
def reported(format: str) -> Iterator[None]:
    """Let `jsonl` end with an error as an event; the message on stderr stays."""
    try:
        yield
    except SlipwayError as error:
        if format == "jsonl":
            event("failed", what=error.what, why=error.why, fix=error.fix)
        raise


@contextmanager
def progress_of(title: str, step: str, format: str) -> Iterator[Callable[[TransferProgress], None]]:
    """Show the progress of one step on stderr, and for `jsonl` on stdout too."""
    with bar(title) as shown:
        last = 0.0

        def show(progress: TransferProgress) -> None:
            nonlocal last
            shown.transfer(progress)
            if format == "jsonl" and time.monotonic() - last >= EVERY:
                last = time.monotonic()
                _print_progress(step, progress)

        yield show


def _print_progress(step: str, progress: TransferProgress) -> None:
    rate = round(progress.rate())
    files = [{"path": path, "done": done, "size": size} for path, (done, size) in progress.active.items()]
    event(
        "progress",
        step=step,
        done=progress.done,
        total=progress.total,
        bytes_per_second=rate,
        seconds_left=round((progress.total - progress.done) / rate) if rate else None,
        waits_for=progress.trouble if not rate else "",
        files=files,
    )


def show_plan(plan: FetchPlan, format: str) -> None:
    """Print what a fetch would do."""
    from launch.weights.progress import amount

    if format == "json":
        emit(plan.as_dict())
        return
    if format == "jsonl":
        event("plan", **plan.as_dict())
        return
    missing = {entry.blob for entry in plan.missing}
    for entry in plan.manifest.wanted:
        print(f"{'fetch' if entry.blob in missing else 'here':6}{amount(entry.size):>11}  {entry.path}")
    manifest = plan.manifest
    print(f"{manifest.model} at {manifest.commit}, license: {manifest.licence or 'not stated'}")
    print(f"{amount(plan.to_fetch)} of {amount(manifest.size)} to fetch into {plan.folder.path}")


def show_snapshot(found: Snapshot, format: str, on_stdout: bool = True) -> None:
    """Print what is in the cache now; on stderr if stdout is a bundle."""
    from launch.weights.progress import amount

    if format == "json":
        emit(found.as_dict())
        return
    if format == "jsonl":
        event("fetched", **found.as_dict())
        return
    put = print if on_stdout else say
    put(f"{found.model} at {found.commit}")
    put(f"{found.files} files, {amount(found.bytes)} ({amount(found.fetched)} fetched now), all verified")
    put(str(found.path))
