"""Limits of a container that are not part of the plan: memory, and the restart policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
RESTARTS = ("no", "on-failure", "unless-stopped", "always")


@dataclass(frozen=True)
class Limits:
    """`memory` is in the engine's notation ("64g"); "" means unlimited."""

    memory: str = ""
    restart: str = "no"

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments for the docker SDK. A memory limit excludes swap, which would only be slow."""
        arguments: dict[str, Any] = {}
        if self.restart != "no":
            arguments["restart_policy"] = {"Name": self.restart}
        if self.memory:
            arguments |= {"mem_limit": self.memory, "memswap_limit": self.memory}
        return arguments

    def flags(self) -> tuple[str, ...]:
        """Return the same limits as options of `docker run`."""
        return (
            *((f"--restart={self.restart}",) if self.restart != "no" else ()),
            *((f"--memory={self.memory}", f"--memory-swap={self.memory}") if self.memory else ()),
        )

    def not_in(self, host_config: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the limits that a container with this `HostConfig` does not have, as options of `invoke run`."""
        policy = (host_config.get("RestartPolicy") or {}).get("Name") or "no"
        missing = []
        if self.memory and _bytes(self.memory) != (host_config.get("Memory") or 0):
            missing.append(f"--memory {self.memory}")
        if self.restart not in ("no", policy):
            missing.append(f"--restart {self.restart}")
        return tuple(missing)


def _bytes(memory: str) -> int:
    """Return an amount in the engine's notation in bytes."""
    unit = _UNITS.get(memory[-1].lower())
    return int(memory[:-1]) * unit if unit else int(memory)
