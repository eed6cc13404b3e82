"""How to launch a server; `launch/spec/plan_options.py` says which one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from launch.engine.limits import Limits

# If a start fails for a known reason: apply a safe fix, ask first, or only report it.
# "no" also leaves out the fixes that earlier starts saved.
Fixes = Literal["auto", "ask", "report", "no"]


@dataclass(frozen=True)
class LaunchOptions:
    """`phase_timeout` caps the seconds without a new log line of every phase; 0 keeps each phase's own limit.

    `verify_key` is the file of the public key that published images must be signed with; "" does not check.
    """

    replace: bool = False
    wait: bool = True
    fetch: bool = False
    phase_timeout: float = 0
    fixes: Fixes = "report"
    verify_key: str = ""
    limits: Limits = field(default_factory=Limits)
