"""Save how a supervised server was launched, so that its supervisor can plan it again with a fix."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from launch import atomic_write, paths
from launch.engine.limits import Limits
from launch.operations.launch_options import LaunchOptions
from launch.spec.plan_options import PlanOptions
from launch.supervision.events import folder


@dataclass(frozen=True)
class SupervisedLaunch:
    """The options of the plan, and the limits of the container."""

    options: PlanOptions
    limits: Limits

    @property
    def how(self) -> LaunchOptions:
        """How the supervisor launches it."""
        return LaunchOptions(limits=self.limits)


def save(name: str, launch: SupervisedLaunch) -> None:
    """Save the launch of a server. Raises Failed or OSError."""
    paths.writable(folder())
    atomic_write.write_text(_file(name), json.dumps(asdict(launch)) + "\n", mode=0o600)


def load(name: str) -> SupervisedLaunch | None:
    """Return the saved launch of a server; None if there is none that this version can read."""
    try:
        data = json.loads(_file(name).read_text())
        return SupervisedLaunch(_options(data["options"]), Limits(**data["limits"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def forget(name: str) -> None:
    """Remove the saved launch of a server."""
    _file(name).unlink(missing_ok=True)


def _options(data: dict[str, Any]) -> PlanOptions:
    """Return options from JSON, in which tuples are lists."""
    known = {field.name for field in fields(PlanOptions)}
    return PlanOptions(**{name: _tuples(value) for name, value in data.items() if name in known})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _file(name: str) -> Path:
    return folder() / f"{name}.json"
