"""How much memory the page cache may take: what this host, this process and the server's container have left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")
RESERVED = 0.1  # of all memory, for everything else on the host
UNLIMITED = 1 << 60


class _Names(NamedTuple):
    """The files of a cgroup, and the line of its statistics with old page cache."""

    limit: str
    usage: str
    old_pages: str


V2 = _Names("memory.max", "memory.current", "inactive_file")
V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def readable_ahead(needed: int, limit: int = 0, root: Path = ROOT) -> int:
    """Return the bytes of weights that fit into memory besides what the server takes; 0 if memory is short.

    `limit` is the memory limit of the container. The pages count for the process that reads them first, so its own
    limit counts too.
    """
    memory = _meminfo(root / "proc/meminfo")
    free = memory.get("MemAvailable", 0) - round(RESERVED * memory.get("MemTotal", 0)) - needed
    if limit and limit < needed:
        return 0  # the server itself will not fit
    return max(0, min(free, _left_in_cgroup(root)))


def _meminfo(path: Path) -> dict[str, int]:
    """Return the values in bytes; the kernel prints kB and means KiB."""
    try:
        rows = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) << 10 for row in rows if len(row) == 3 and row[1].isdecimal()}


def _left_in_cgroup(root: Path) -> int:
    """Return the bytes until the limit of this process's cgroup, or of one above it, in either version."""
    left = UNLIMITED
    for names, folder in _cgroups(root):
        most, now = _number(folder / names.limit), _number(folder / names.usage)
        if most is not None and now is not None:
            left = min(left, most - now + _old_pages(folder, names))
    return left


def _cgroups(root: Path) -> Iterator[tuple[_Names, Path]]:
    """Yield the folders of this process's cgroup and of those above it, with the names of their files."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if (number, controllers) == ("0", ""):
            names, top = V2, root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            names, top = V1, root / "sys/fs/cgroup/memory"
        else:
            continue
        own = top / path.strip("/")
        yield from ((names, one) for one in (own, *own.parents) if one.is_relative_to(top))


def _number(path: Path) -> int | None:
    """Return the number in a file; None for `max` and for a file that is absent."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _old_pages(folder: Path, names: _Names) -> int:
    """Return the bytes of page cache that a cgroup gives up first."""
    try:
        rows = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return next((int(row[1]) for row in rows if row[0] == names.old_pages), 0)
    except (OSError, ValueError, IndexError):
        return 0
