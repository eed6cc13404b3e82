"""The access of a container while it is built up: each step adds settings and the reasons for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from launch.spec.plan import Container, Reason
from launch.spec.vllm_args import EnvVar

RULE = "rule: least access"


@dataclass(frozen=True)
class Access:
    """The container, the environment that belongs to it, and the reasons for both."""

    container: Container
    env: tuple[EnvVar, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()

    def wider(self, reasons: tuple[Reason, ...], **settings: Any) -> Access:
        """Return a copy with these settings of the container and the reasons for them."""
        container = replace(self.container, **settings)
        return replace(self, container=container, reasons=(*self.reasons, *reasons))

    def without(self, *items: str) -> Access:
        """Return a copy without the reasons for these items."""
        return replace(self, reasons=tuple(reason for reason in self.reasons if reason.item not in items))

    def noted(self, note: str) -> Access:
        """Return a copy with one more note."""
        return replace(self, notes=(*self.notes, note))
