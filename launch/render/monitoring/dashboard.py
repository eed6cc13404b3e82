"""The Grafana dashboard: the panels of panels.yaml, two in a row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import load

SELECTOR = 'job="slipway",instance=~"$instance"'
WINDOW = "$__rate_interval"
UID = "slipway"
LONGEST_UID = 40  # characters
SOURCE = {"type": "prometheus", "uid": "${source}"}  # the first variable below
WIDTH, HEIGHT, COLUMNS = 12, 8, 2  # of a panel, in Grafana's grid of 24 columns


@dataclass(frozen=True)
class Query:
    """One line of a panel."""

    expr: str
    legend: str = ""

    def text(self, selector: str = SELECTOR, window: str = WINDOW) -> str:
        """Return the PromQL expression for these servers and this time."""
        return self.expr.replace("$server", selector).replace("$window", window)


@dataclass(frozen=True)
class Panel:
    """One chart. `unit` is an id of Grafana's units."""

    title: str
    unit: str
    queries: tuple[Query, ...]


@cache
def panels() -> tuple[Panel, ...]:
    """Return the panels in their order."""
    return load(Path(__file__).with_name("panels.yaml"), tuple[Panel, ...])


def dashboard(title: str, job: str = UID) -> dict[str, Any]:
    """Return the JSON model of the dashboard for the servers of a Prometheus job, after which it is named.

    Two dashboards of one uid, or of one title in a folder, would end the provisioning of both.
    """
    selector = SELECTOR.replace('job="slipway"', f'job="{job}"')
    return {
        "uid": _uid(job),
        "title": title,
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_sources(), _instances(job)]},
        "panels": [_panel(number, one, selector) for number, one in enumerate(panels())],
    }


def _uid(job: str) -> str:
    """Return the name of a job; if it is too long, its beginning with a hash of all of it."""
    if len(job) <= LONGEST_UID:
        return job
    digest = hashlib.sha256(job.encode()).hexdigest()[:8]
    return f"{job[: LONGEST_UID - len(digest) - 1]}-{digest}"


def _sources() -> dict[str, Any]:
    """Return the variable with the Prometheus that is asked: Grafana's default, whatever its uid is in a cluster."""
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _instances(job: str) -> dict[str, Any]:
    """Return the variable with which one of several servers is chosen."""
    return {
        "name": "instance",
        "label": "server",
        "type": "query",
        "datasource": SOURCE,
        "query": f'label_values(up{{job="{job}"}}, instance)',
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel, selector: str) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query.text(selector), "legendFormat": query.legend}
            for place, query in enumerate(panel.queries)
        ],
    }
