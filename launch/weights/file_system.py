"""Which file system a folder is on, as the kernel lists it."""

from __future__ import annotations

import re
from pathlib import Path


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that has a folder: of the longest mount point above it; "" if not known."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    target, best = folder.resolve(), (0, "")
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.partition(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = Path(_unescaped(fields[4]))
        if (
            target.is_relative_to(point) and len(point.parts) >= best[0]
        ):  # a later mount covers an earlier one
            best = (len(point.parts), kind)
    return best[1]


def _unescaped(text: str) -> str:
    """Return a path with the blanks that the kernel writes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
