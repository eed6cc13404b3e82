"""Run the user's command for an event."""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess

from errors import Refused
from launch.supervision.events import Event

_log = logging.getLogger(__name__)
_TIMEOUT = 30  # seconds


def words_of(command: str) -> list[str]:
    """Return the words of a command. Raises Refused if it has none or an open quotation mark."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Refused(f"--notify '{command}' is not a command", why=str(error)) from None
    if not words:
        raise Refused("--notify needs a command", fix="--notify 'logger -t slipway'")
    return words


def notify(command: str, event: Event) -> None:
    """Run the command with the event as JSON on its stdin and as its last argument in words.

    A command that fails or takes too long is logged: it must not end the supervision.
    """
    if not command:
        return
    text = f"{event.server} {event.kind}: {event.cause or event.reason}"
    environ = {**os.environ, "SLIPWAY_EVENT": event.kind, "SLIPWAY_SERVER": event.server}
    try:
        subprocess.run(
            [*words_of(command), text],
            input=json.dumps(event.as_dict()),
            text=True,
            env=environ,
            timeout=_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("--notify failed: %s", error)
