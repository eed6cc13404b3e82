"""The result of a check: severity, what was found, why it matters, and the command that fixes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from launch.doctor.facts import Facts

SEVERITIES = ("ok", "info", "warning", "error")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `auto_fix` names the fix of `auto_fix.py` that `--fix` applies."""

    check: str
    severity: str
    what: str
    why: str = ""
    fix: str = ""
    auto_fix: str = ""


Check = Callable[[Facts], Iterable[Finding]]


def ok(check: str, what: str) -> Finding:
    """Report that the check passed."""
    return Finding(check, "ok", what)


def info(check: str, what: str, why: str = "", fix: str = "", auto_fix: str = "") -> Finding:
    """Report a fact that needs no action."""
    return Finding(check, "info", what, why, fix, auto_fix)


def warning(check: str, what: str, why: str, fix: str, auto_fix: str = "") -> Finding:
    """Report that a launch will work, but slower or less reliably."""
    return Finding(check, "warning", what, why, fix, auto_fix)


def error(check: str, what: str, why: str, fix: str, auto_fix: str = "") -> Finding:
    """Report that a launch on this platform will fail."""
    return Finding(check, "error", what, why, fix, auto_fix)
