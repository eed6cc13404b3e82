"""Keep the log of a server that died or hangs, and diagnose it before the container starts again."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from errors import SlipwayError
from launch import paths
from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.types import Outcome
from launch.serving.readiness import start_time

if TYPE_CHECKING:
    from docker.models.containers import Container

    from launch.supervision.policy import Observation

_log = logging.getLogger(__name__)
_LINES = 20_000


def save_log(container: Container) -> tuple[list[str], str]:
    """Return the log since the newest start, and the file in which it is saved; "" if it cannot be saved."""
    data = container.logs(since=start_time(container), tail=_LINES)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        path = paths.writable(paths.logs_dir()) / f"{container.name}-{moment}.log"
        path.write_bytes(data)
    except (OSError, SlipwayError) as error:
        _log.warning("the log of %s is not saved: %s", container.name, error)
        return _lines(data), ""
    return _lines(data), str(path)


def _lines(data: bytes) -> list[str]:
    return re.split(r"\r?\n", data.decode(errors="replace"))


def diagnose_death(lines: list[str], seen: Observation) -> Diagnosis:
    """Return the diagnosis of a server that exited, or that was observed as dead or hanging."""
    diagnosis = diagnose(DiagnosisInput(lines, exit_code=seen.exit_code, oom_killed=seen.oom_killed))
    if diagnosis.outcome is Outcome.HEALTHY:  # it was seen dead or hanging, whatever its log reports
        return replace(diagnosis, cause="unknown; the log reports no failure")
    if diagnosis.known or not diagnosis.first_exception:
        return diagnosis
    return replace(diagnosis, cause=f"unknown; first exception: {diagnosis.first_exception}")
