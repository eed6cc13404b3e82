"""Observe one server: the state of its container, /health and /metrics."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from errors import Failed
from launch.http.client import request
from launch.serving.metrics import parse_progress, read_page
from launch.supervision.policy import Health, Observation, State

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT = 5  # seconds for one page; a busy API server answers late
_STATES: dict[str, State] = {
    "running": "running",
    "paused": "paused",
    "created": "exited",
    "exited": "exited",
}


def observe(client: DockerClient, name: str) -> Observation:
    """Return the server as it is now. Nothing is raised: an engine that does not answer is a state."""
    from docker.errors import DockerException, NotFound
    from requests.exceptions import RequestException

    at = time.monotonic()
    try:
        container = client.containers.get(name)
    except NotFound:
        return Observation(at, "gone")
    except (DockerException, RequestException, OSError):
        return Observation(at, "unknown")
    state: dict[str, Any] = container.attrs["State"]
    if container.status != "running":
        return Observation(
            at,
            _STATES.get(container.status, "unknown"),
            exit_code=state.get("ExitCode"),
            oom_killed=bool(state.get("OOMKilled")),
        )
    return replace(_answers(at, container.labels["slipway.url"]), started=str(state.get("StartedAt", "")))


def _answers(at: float, url: str) -> Observation:
    health = _health(url)
    page = read_page(url, _TIMEOUT) if health == "ok" else None
    progress = parse_progress(page) if page is not None else None
    if progress is None:
        return Observation(at, "running", health)
    return Observation(at, "running", health, progress.running, progress.steps)


def _health(url: str) -> Health:
    try:
        response = request("GET", f"{url}/health", timeout=_TIMEOUT, direct=True)
        response.close()
    except Failed:
        return "silent"
    return "ok" if response.status == 200 else "dead"
