"""Write values into a systemd unit, in which `%`, `$`, `"` and `\\` mean something."""

from __future__ import annotations


def word(text: str) -> str:
    """Return one argument of `ExecStart=`, or an assignment of `Environment=`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def path(text: str) -> str:
    """Return a path for `WorkingDirectory=`, which takes the rest of the line as it is."""
    return text.replace("%", "%%")
