"""What a host grants a container beside its plan: memory, processes, and whether it starts again by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RESTARTS = ("no", "on-failure", "unless-stopped", "always")


@dataclass(frozen=True)
class Limits:
    """`memory` is what the engine understands ("64g"); "" and 0 are none."""

    memory: str = ""
    pids: int = 0
    restart: str = "no"

    def arguments(self) -> dict[str, Any]:
        """For the docker SDK; a server that may not swap is ended by its limit and not by its slowness."""
        found: dict[str, Any] = {"restart_policy": {"Name": self.restart}} if self.restart != "no" else {}
        if self.memory:
            found |= {"mem_limit": self.memory, "memswap_limit": self.memory}
        return found | ({"pids_limit": self.pids} if self.pids else {})

    def flags(self) -> tuple[str, ...]:
        """The same for `docker run`."""
        return (
            *((f"--restart={self.restart}",) if self.restart != "no" else ()),
            *((f"--memory={self.memory}", f"--memory-swap={self.memory}") if self.memory else ()),
            *((f"--pids-limit={self.pids}",) if self.pids else ()),
        )
