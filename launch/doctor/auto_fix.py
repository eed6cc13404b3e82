"""Apply the fixes of `invoke doctor --fix`: restrict modes and create folders, as this user, and delete nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding


def restrict_token_mode(facts: Facts) -> str:
    """Make the stored token readable by its owner only."""
    path = Path(facts.hub.token_source)
    path.chmod(0o600)
    return f"set the mode of {path} to 0600"


def create_cache_folder(facts: Facts) -> str:
    """Create the cache as this user, before a container creates it as root."""
    folder = Path(facts.hub.cache)
    folder.mkdir(parents=True, exist_ok=True)
    return f"created {folder}"


FIXES: dict[str, Callable[[Facts], str]] = {
    "token-mode": restrict_token_mode,
    "cache-folder": create_cache_folder,
}


def apply_auto_fixes(facts: Facts, findings: Iterable[Finding]) -> list[str]:
    """Apply the automatic fixes of the findings; return a line for each: what was done, or why it failed."""
    done = []
    for finding in findings:
        if finding.auto_fix:
            try:
                done.append(f"fixed {finding.check}: {FIXES[finding.auto_fix](facts)}")
            except OSError as error:
                done.append(f"not fixed {finding.check}: {error.strerror}")
    return done
