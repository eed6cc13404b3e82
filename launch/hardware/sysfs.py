"""Read the kernel's small files. Any of them may be missing, unreadable or invalid."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_MAX_BYTES = 1 << 20  # far more than any file of sysfs or procfs that Slipway reads


def read_text(path: Path) -> str:
    """Return a file's text without surrounding blanks, "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace").strip("\x00 \t\r\n")
    except OSError:
        return ""


def parse_number(text: str) -> int | None:
    """Return an integer, decimal or 0x-hexadecimal; None for any other text."""
    if not re.fullmatch(r"-?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,40})", text, re.ASCII):
        return None
    return int(text, 16 if "x" in text.lower() else 10)


def read_number(path: Path) -> int | None:
    """Return the number in a file."""
    return parse_number(read_text(path))


def parse_properties(text: str) -> dict[str, int]:
    """Return `name value` lines as numbers, without lines of another form."""
    properties = {}
    for line in text.splitlines():
        words = line.split()
        value = parse_number(words[1]) if len(words) == 2 else None
        if value is not None:
            properties[words[0]] = value
    return properties


def numbered_entries(folder: Path) -> list[tuple[int, Path]]:
    """Return the entries of a folder whose names are numbers, in numeric order."""
    pairs = [(parse_number(entry.name), entry) for entry in entries(folder)]
    return sorted((number, entry) for number, entry in pairs if number is not None and number >= 0)


def entries(folder: Path) -> Iterable[Path]:
    """Return the entries of a folder by name, none if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return ()


def exists(path: Path) -> bool:
    """Return whether this user can see the file. (Path.exists raises below an unreadable folder.)"""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_denied(path: Path) -> bool:
    """Return whether the file exists but this process may not read it."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def link_target(path: Path) -> str:
    """Return the last part of a link's target, "" if it is not a link."""
    try:
        return path.readlink().name
    except OSError:
        return ""
