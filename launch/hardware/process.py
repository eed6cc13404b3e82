"""Read the CPU time of a process and of all its descendants from procfs (man 5 proc_pid_stat)."""

from __future__ import annotations

from pathlib import Path

from launch.hardware import sysfs

_TICKS = 100  # in a second: USER_HZ
_USER, _SYSTEM = 11, 12  # utime and stime, counted from the first word after the name


def cpu_seconds(pid: int, root: Path = Path("/")) -> float | None:
    """Return the CPU seconds of a process tree; None if the process does not exist on this host."""
    own = _own_seconds(root / f"proc/{pid}/stat")
    if own is None:
        return None
    children = sysfs.read_text(root / f"proc/{pid}/task/{pid}/children").split()
    return own + sum(cpu_seconds(int(child), root) or 0 for child in children if child.isdigit())


def _own_seconds(file: Path) -> float | None:
    """Return user and system time. The name of the program, in brackets, may contain blanks and brackets."""
    words = sysfs.read_text(file).rpartition(")")[2].split()
    try:
        return (int(words[_USER]) + int(words[_SYSTEM])) / _TICKS
    except (IndexError, ValueError):
        return None
