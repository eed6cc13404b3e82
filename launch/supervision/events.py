"""Record what happened to a server, one JSON line an event, in the state folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from launch import paths

Kind = Literal["supervised", "died", "restarted", "fixed", "gave up", "ended"]
KINDS: tuple[Kind, ...] = ("supervised", "died", "restarted", "fixed", "gave up", "ended")
KEPT = 1000  # events of one server


@dataclass(frozen=True)
class Event:
    """One event. `cause` and `fix` are those of the diagnosis, `log` is the file with the log until then."""

    at: str
    server: str
    kind: Kind
    reason: str = ""
    cause: str = ""
    fix: str = ""
    log: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke events --format json`."""
        return asdict(self)


def now() -> str:
    """Return the current time (UTC) as it stands in an event."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def folder() -> Path:
    """Return the folder of everything about supervision."""
    return paths.state_dir() / "supervision"


def record(event: Event) -> None:
    """Append an event to its server's file; the oldest events are dropped. Raises Failed or OSError."""
    path = paths.writable(folder()) / f"{event.server}.jsonl"
    line = json.dumps(event.as_dict()) + "\n"
    with path.open("a+", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) > 2 * KEPT:
        from launch import atomic_write

        atomic_write.write_text(path, "".join(lines[-KEPT:]))


def read(server: str = "") -> list[Event]:
    """Return the events of one server, or of all, the oldest first. Lines that are not events are left out."""
    files = [folder() / f"{server}.jsonl"] if server else sorted(folder().glob("*.jsonl"))
    events = [event for path in files for event in _read(path)]
    return sorted(events, key=lambda event: event.at)


def _read(path: Path) -> list[Event]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [event for line in lines if (event := _parse(line))]


def _parse(line: str) -> Event | None:
    try:
        values = json.loads(line)
        event = Event(**values)
    except (ValueError, TypeError):
        return None
    texts = all(isinstance(value, str) for value in values.values())
    return event if texts and event.kind in KINDS else None


@dataclass(frozen=True)
class Summary:
    """What `invoke ps` shows: the restarts since the supervision began, and the last cause."""

    restarts: int = 0
    last_cause: str = ""
    gave_up: bool = False


def summary(events: list[Event]) -> Summary:
    """Return the summary of one server's events, of the newest supervision only."""
    result = Summary()
    for event in events:
        if event.kind == "supervised":
            result = Summary()
        elif event.kind == "died":
            result = Summary(result.restarts, event.cause or event.reason)
        elif event.kind in ("restarted", "fixed"):
            result = Summary(result.restarts + 1, result.last_cause)
        elif event.kind == "gave up":
            result = Summary(result.restarts, result.last_cause or event.reason, gave_up=True)
    return result
