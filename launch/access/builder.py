"""A container's access while it is put together: each step gives it more, with the reason for that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from launch.spec.plan import Container, Reason
from launch.spec.vllm_args import Setting

RULE = "rule: least access"


@dataclass(frozen=True)
class Access:
    """The container, the environment that goes with it, and the reasons for both."""

    container: Container
    env: tuple[Setting, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()

    def wider(self, reasons: tuple[Reason, ...], **granted: Any) -> Access:
        """The same with these settings of its container, and why."""
        container = replace(self.container, **granted)
        return replace(self, container=container, reasons=(*self.reasons, *reasons))

    def noted(self, note: str) -> Access:
        """The same with a note for the reader."""
        return replace(self, notes=(*self.notes, note))
