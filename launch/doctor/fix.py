"""What `--fix` may do: tighten and create, never delete, never as another user. Each says what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding


def token_mode(facts: Facts) -> str:
    """The stored token is for its owner alone."""
    path = Path(facts.hub.token_from)
    path.chmod(0o600)
    return f"{path}: mode 0600"


def cache_folder(facts: Facts) -> str:
    """The cache exists, as this user's, before a container of root's makes it."""
    folder = Path(facts.hub.cache)
    folder.mkdir(parents=True, exist_ok=True)
    return f"{folder}: made"


REMEDIES: dict[str, Callable[[Facts], str]] = {"token-mode": token_mode, "cache-folder": cache_folder}


def fix(facts: Facts, findings: Iterable[Finding]) -> list[str]:
    """Carry out the safe remedies among the findings; what was done, or why not, in words."""
    done = []
    for finding in findings:
        if finding.fix:
            try:
                done.append(f"fixed {finding.check}: {REMEDIES[finding.fix](facts)}")
            except OSError as error:
                done.append(f"not fixed {finding.check}: {error.strerror}")
    return done
