"""What an acceptance test finds: the outcome of each item, with evidence, metrics, cause and fix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["pass", "fail", "skipped"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one item. `cause` is a key of causes.yaml."""

    outcome: Outcome
    evidence: str
    cause: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemResult:
    """A finding as it is reported."""

    name: str
    outcome: Outcome
    evidence: str
    cause: str
    fix: str
    metrics: dict[str, float]
    seconds: float


def passed(evidence: str, **metrics: float) -> Finding:
    """Return the finding of an item that the server passes."""
    return Finding("pass", evidence, metrics=metrics)


def failed(cause: str, evidence: str, **metrics: float) -> Finding:
    """Return the finding of an item that the server fails, for a cause of causes.yaml."""
    return Finding("fail", evidence, cause, metrics)


def skipped(evidence: str) -> Finding:
    """Return the finding of an item that does not apply to the server."""
    return Finding("skipped", evidence)
