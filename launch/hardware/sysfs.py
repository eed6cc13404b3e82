"""Reading the kernel's small files, where any of them may be missing, unreadable or full of nonsense."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_LONGEST = 1 << 20  # no file of sysfs or procfs that we read comes near this


def text(path: Path) -> str:
    """A file's text without the blanks around it; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace").strip("\x00 \t\r\n")
    except OSError:
        return ""


def number(given: str) -> int | None:
    """A whole number, decimal or 0x-hexadecimal; None for anything else."""
    if not re.fullmatch(r"-?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,40})", given, re.ASCII):
        return None
    return int(given, 16 if "x" in given.lower() else 10)


def read_number(path: Path) -> int | None:
    """The number that a file holds."""
    return number(text(path))


def properties(given: str) -> dict[str, int]:
    """`name value` lines as numbers. Lines of any other form are left out."""
    found = {}
    for line in given.splitlines():
        words = line.split()
        value = number(words[1]) if len(words) == 2 else None
        if value is not None:
            found[words[0]] = value
    return found


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The entries of a folder that are called by a number, in numeric order."""
    named = [(number(entry.name), entry) for entry in entries(folder)]
    return sorted((n, entry) for n, entry in named if n is not None and n >= 0)


def entries(folder: Path) -> Iterable[Path]:
    """What a folder holds, by name; nothing where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return ()


def is_here(path: Path) -> bool:
    """Whether this user can see such a file (Path.exists raises below a closed folder)."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_closed(path: Path) -> bool:
    """Whether a file is there that this process may not read."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def link_name(path: Path) -> str:
    """The last part of what a link points to; "" where it is no link."""
    try:
        return path.readlink().name
    except OSError:
        return ""
