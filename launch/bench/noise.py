"""The noise of a host: how much repeats differ although nothing changed. Measured by `invoke bench --noise`.

It is the least spread that a comparison assumes. One file for each host, image and workload, in the state folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import Failed
from launch.atomic_write import write_text
from launch.bench.changes import image
from launch.bench.compare_runs import summary
from launch.bench.history import Side
from launch.bench.metrics import load_metrics
from launch.paths import state_dir, writable

LEAST = 4  # repeats of one start
USUAL = 5  # repeats, if the user does not say how many
_log = logging.getLogger(__name__)


class Noise(BaseModel):
    """The noise of one host with one image and one workload.

    `floors` holds, by the key of a metric, the standard deviation of the logarithms: 0.03 is about 3 %.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    host: str
    image: str
    workload: dict[str, str]
    group: str
    start_id: str
    time: str
    runs: int = Field(ge=LEAST)
    floors: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]


def measure_noise(side: Side) -> Noise:
    """Return the noise that a group shows. Raises Failed unless it has LEAST usable runs of one start."""
    usable = side.usable
    if len(usable) < LEAST or len(side.starts) > 1:
        why = f"'{side.name}' has {len(usable)} usable runs in {len(side.starts)} starts of a server"
        raise Failed(
            f"the noise is measured from {LEAST} or more runs of one start",
            why=why,
            fix=f"invoke bench --noise --repeat {USUAL}",
        )
    summaries = {metric.key: summary(side, metric) for metric in load_metrics()}
    floors = {
        key: one.spread
        for key, one in summaries.items()
        if one and one.spread is not None and len(one.values) >= LEAST
    }
    last = usable[-1]
    return Noise(
        schema=1,
        host=last.host.name,
        image=image(last),
        workload=side.workload,
        group=last.group,
        start_id=last.server.start_id,
        time=last.time,
        runs=len(usable),
        floors=floors,
    )


def save(noise: Noise) -> Path:
    """Write the noise, in place of an earlier measurement; return the file. Raises Failed."""
    path = _file(noise.host, noise.image, noise.workload)
    writable(path.parent)
    try:
        write_text(path, noise.model_dump_json(by_alias=True) + "\n")
    except OSError as error:
        raise Failed(f"cannot write '{path}'", why=error.strerror or str(error)) from None
    return path


def floors_for(old: Side, new: Side) -> dict[str, float]:
    """Return the noise by metric for a comparison: the greater one of the hosts and images of its sides."""
    pairs = dict.fromkeys((run.host.name, image(run)) for run in (*old.usable, *new.usable))
    found: dict[str, float] = {}
    for host, name in pairs:
        noise = _read(_file(host, name, new.workload))
        for key, floor in (noise.floors if noise else {}).items():
            found[key] = max(floor, found.get(key, 0.0))
    return found


def _file(host: str, image_name: str, workload: dict[str, str]) -> Path:
    key = json.dumps([host, image_name, workload], sort_keys=True)
    return state_dir() / "noise" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> Noise | None:
    """Return a measurement, or None if there is none. A damaged file is only logged: `--noise` replaces it."""
    try:
        return Noise.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        _log.warning("cannot read the noise of this host from '%s': %s", path, str(error).splitlines()[0])
        return None
