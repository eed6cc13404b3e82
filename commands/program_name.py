"""Names of the program and its verbs. Messages in the code say `invoke VERB`; `named` inserts what was typed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

# The verbs as `slipway` without arguments lists them.
GROUPS = {
    "Set up": ("doctor", "gpus", "login", "logout"),
    "Build": ("pin", "build", "images"),
    "Weights": ("fetch", "verify", "models", "serve-weights"),
    "Launch": ("recipes", "plan", "run"),
    "Cluster": ("deploy",),
    "Servers": ("ps", "top", "logs", "chat", "shell", "exec", "restart", "stop", "supervise", "events"),
    "Measure": ("accept", "bench", "report"),
    "Diagnose": ("diagnose",),
    "Publish": ("publish",),
    "Try": ("demo",),
}
_COMMAND = re.compile(
    rf"\binvoke (?=(?:{'|'.join(v for verbs in GROUPS.values() for v in verbs)}|--?\w[\w-]*|COMMAND|VERB)\b)"
)


def program() -> str:
    """Return the program that was typed: `slipway`, or `invoke` in a clone."""
    return "slipway" if Path(sys.argv[0]).stem == "slipway" else "invoke"


def named(text: str) -> str:
    """Return the text with its commands as the user types them."""
    return _COMMAND.sub("slipway ", text) if program() == "slipway" else text


def command() -> list[str]:
    """Return the first words of a command line that runs this program again."""
    if program() == "slipway":  # -P: a module named `errors` in the working folder does not replace Slipway's
        return [sys.executable, "-P", "-m", "commands.entry_point"]
    return [sys.executable, "-m", "invoke"]
