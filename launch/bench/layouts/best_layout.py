"""Remember the fastest layout of a model on this host: one file for each combination that it holds for."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from errors import Failed
from launch.atomic_write import write_text
from launch.bench.layouts.trial import Goal
from launch.paths import state_dir, writable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What a measured layout holds for. It says nothing of other weights, hardware, images or settings of vLLM."""

    model: str
    commit: str
    variant: str
    hardware: str  # an id of the GPU catalog
    gpus: int
    image: str  # its digest
    settings: tuple[str, ...] = ()  # --set, as FLAG=VALUE, sorted


@dataclass(frozen=True)
class BestLayout:
    """A measured layout. `runs` are the ids of the records that it rests on."""

    subject: Subject
    preset: str
    goal: str
    strategy: str
    layout: str
    gpus: int
    result: str
    why: str
    time: str
    runs: tuple[str, ...] = ()
    scale: float = 1.0  # of the preset


def save(best: BestLayout) -> Path:
    """Write a layout, in place of an earlier one for the same subject, preset, scale and goal. Raises Failed."""
    path = _folder() / f"{_digest(best.subject)}-{best.preset}-{best.scale:g}-{best.goal}.json"
    writable(path.parent)
    try:
        write_text(path, json.dumps(asdict(best), indent=1) + "\n")
    except OSError as error:
        raise Failed(f"cannot write '{path}'", why=error.strerror or str(error)) from None
    return path


def find(subject: Subject, goal: Goal | None = None) -> BestLayout | None:
    """Return the newest layout for a subject, of any goal or of this one; None if there is none.

    One that was measured with the full preset counts more than a newer one with a part of it.
    """
    found = (_read(path) for path in _folder().glob(f"{_digest(subject)}-*.json"))
    known = [one for one in found if one and one.subject == subject and goal in (None, one.goal)]
    return max(known, key=lambda one: (one.scale, one.time), default=None)


def _folder() -> Path:
    return state_dir() / "layouts"


def _digest(subject: Subject) -> str:
    return hashlib.sha256(json.dumps(asdict(subject), sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> BestLayout | None:
    """Return a layout; a damaged file is only logged, because the next benchmark replaces it."""
    try:
        data = json.loads(path.read_text())
        known = {field.name for field in fields(BestLayout)}
        values = {name: value for name, value in data.items() if name in known}
        subject = Subject(**{**data["subject"], "settings": tuple(data["subject"].get("settings", ()))})
        return BestLayout(**{**values, "subject": subject, "runs": tuple(data["runs"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        _log.warning("cannot read the measured layout in '%s': %s", path, str(error).splitlines()[0])
        return None
