"""The container engine: find it, start a plan on it, and find again what we started.

Docker through its SDK; podman through its Docker-compatible socket. State lives in container labels (`slipway.*`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "slipway.plan"


def sockets() -> list[str]:
    """Where an engine may listen, most explicit first."""
    if os.environ.get("DOCKER_HOST"):
        return [os.environ["DOCKER_HOST"]]
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    places = ("/var/run/docker.sock", f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock",
              "/run/podman/podman.sock")  # fmt: skip
    return [f"unix://{place}" for place in places if Path(place).exists()]


def connect(timeout: int = 60) -> DockerClient:
    """A client of the first engine that answers. Raises Failed with what each socket said."""
    import docker
    from docker.errors import DockerException

    said = []
    for url in sockets():
        try:
            client = docker.DockerClient(base_url=url, timeout=timeout)
            client.ping()
            return client
        except DockerException as error:
            said.append(f"{url}: {_plain(error)}")
    why = "; ".join(said) or "no engine socket exists"
    fix = "add this user to the group that owns the socket, or run as root" if "ermission" in why else (
        "start Docker or podman; `make engine` installs and starts one (as root on Debian or Ubuntu)")  # fmt: skip
    raise Failed("no container engine answers", why=why, fix=fix)


def _plain(error: Any) -> str:
    text = str(error)
    for word in ("Permission denied", "Connection refused", "No such file"):
        if word in text:
            return word
    return text.splitlines()[0][:200]


def is_podman(client: Any) -> bool:
    """Whether the engine behind the socket is podman (it ignores device requests silently)."""
    parts = client.version().get("Components") or []
    return any("podman" in str(part.get("Name", "")).lower() for part in parts)
