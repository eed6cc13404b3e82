"""Append rows to a file of JSON lines in the state folder and read them back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from errors import SlipwayError
from launch.paths import writable

_log = logging.getLogger(__name__)


def append(path: Path, row: dict[str, Any]) -> None:
    """Append one row; a failure is only logged, because the server it was learned from does serve."""
    try:
        writable(path.parent)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
    except (OSError, SlipwayError) as error:
        why = error.why if isinstance(error, SlipwayError) else error.strerror
        _log.warning("cannot write '%s': %s", path, why)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows, oldest first; skip lines that are not JSON objects, such as a line cut by a crash.

    A file that cannot be read is only logged: its rows improve a plan, but a plan needs none.
    """
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("cannot read '%s': %s", path, error.strerror)
        return
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
