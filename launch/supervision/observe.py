"""Observe one server: the state of its container, /health, /metrics, and an answer of its model."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from errors import Failed
from launch.http.client import request
from launch.serving.api_key import key_of_container
from launch.serving.metrics import parse_progress, read_page
from launch.supervision.policy import Health, Observation, State

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

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
    return Observation(at, "running", health, parse_progress(page) if page is not None else None)


def answers(container: Container, timeout: float) -> bool | None:
    """Whether a server answers a request for one token in time; None if it has ended. A refusal is an answer, too."""
    model, key = container.labels["slipway.model"], key_of_container(container)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    body = json.dumps({"model": model, "prompt": "Hello", "max_tokens": 1}).encode()
    url = f"{container.labels['slipway.url']}/v1/completions"
    until = time.monotonic() + timeout
    try:
        response = request("POST", url, headers=headers, body=body, timeout=timeout, direct=True)
        response.close()
    except Failed:
        return False if time.monotonic() >= until else None
    return True


def _health(url: str) -> Health:
    try:
        response = request("GET", f"{url}/health", timeout=_TIMEOUT, direct=True)
        response.close()
    except Failed:
        return "silent"
    return "ok" if response.status == 200 else "dead"
