"""Read what a container has used so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


def cpu_seconds(client: DockerClient, container: Container) -> float | None:
    """Return the CPU seconds of a container since its start; None if the engine does not tell."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        stats: dict[str, Any] = client.api.stats(str(container.id), stream=False, one_shot=True)
        used = int(stats["cpu_stats"]["cpu_usage"]["total_usage"])
    except (DockerException, RequestException, LookupError, TypeError, ValueError):
        return None
    return used / 1e9 or None
