"""Limits of a container that are not part of the plan: memory, processes, and the restart policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RESTARTS = ("no", "on-failure", "unless-stopped", "always")


@dataclass(frozen=True)
class Limits:
    """`memory` is in the engine's notation ("64g"). "" and 0 mean unlimited."""

    memory: str = ""
    pids: int = 0
    restart: str = "no"

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments for the docker SDK. A memory limit excludes swap, which would only be slow."""
        arguments: dict[str, Any] = {}
        if self.restart != "no":
            arguments["restart_policy"] = {"Name": self.restart}
        if self.memory:
            arguments |= {"mem_limit": self.memory, "memswap_limit": self.memory}
        return arguments | ({"pids_limit": self.pids} if self.pids else {})

    def flags(self) -> tuple[str, ...]:
        """Return the same limits as options of `docker run`."""
        return (
            *((f"--restart={self.restart}",) if self.restart != "no" else ()),
            *((f"--memory={self.memory}", f"--memory-swap={self.memory}") if self.memory else ()),
            *((f"--pids-limit={self.pids}",) if self.pids else ()),
        )
