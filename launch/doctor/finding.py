"""What a check says: how bad it is, what was seen, why it matters, and the command that helps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from launch.doctor.facts import Facts

SEVERITIES = ("ok", "info", "warning", "error")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` names a remedy that `--fix` may carry out (`fix.py`)."""

    check: str
    severity: str
    seen: str
    why: str = ""
    remedy: str = ""
    fix: str = ""


Check = Callable[[Facts], Iterable[Finding]]


def ok(check: str, seen: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", seen)


def info(check: str, seen: str, why: str = "", remedy: str = "") -> Finding:
    """Worth knowing; nothing needs to be done."""
    return Finding(check, "info", seen, why, remedy)


def warning(check: str, seen: str, why: str, remedy: str, fix: str = "") -> Finding:
    """It will run, worse or less surely than it could."""
    return Finding(check, "warning", seen, why, remedy, fix)


def error(check: str, seen: str, why: str, remedy: str, fix: str = "") -> Finding:
    """A launch on this platform will fail."""
    return Finding(check, "error", seen, why, remedy, fix)
