"""The container engine: find it, start a plan on it, and find again what we started.

Docker through its SDK; podman through its Docker-compatible socket. State lives in labels (`slipway.*`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed, Refused
from launch.engine.log_stream import split_lines

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "slipway.plan"


def sockets() -> list[str]:
    """Where an engine may listen, most explicit first."""
    if os.environ.get("DOCKER_HOST"):
        return [os.environ["DOCKER_HOST"]]
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    places = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
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
    fix = (
        "add this user to the group that owns the socket, or run as root"
        if "ermission" in why
        else ("start Docker or podman; `make engine` installs and starts one (as root on Debian or Ubuntu)")
    )
    raise Failed("no container engine answers", why=why, fix=fix)


def _plain(error: Any) -> str:
    text = str(error)
    for word in ("Permission denied", "Connection refused", "No such file"):
        if word in text:
            return word
    return text.splitlines()[0][:200]


def is_podman(client: Any) -> bool:
    """Whether the engine behind the socket is podman (it ignores device requests silently)."""
    answer = client.api.head(f"{client.api.base_url}/_ping")  # its /version takes half a second
    return "Libpod-API-Version" in answer.headers


def nvidia_hook() -> str:
    """Where the hook is by which Docker serves `--gpus`; "" where NVIDIA's container toolkit is not installed.

    Its base package has nvidia-ctk and no hook: with that alone there is CDI and nothing else.
    """
    names = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")
    return next((found for found in map(shutil.which, names) if found), "")


def by_cdi_alone(client: Any) -> str:
    """Why this engine hands NVIDIA's GPUs over by CDI name and no other way; "" where it has another, or none."""
    if is_podman(client):
        return "podman takes GPUs by CDI name only"
    said = client.info()
    if nvidia_hook() or "nvidia" in (said.get("Runtimes") or {}):
        return ""
    return "the engine has no NVIDIA container toolkit and reads CDI specs" if said.get("CDISpecDirs") else ""


@dataclass(frozen=True)
class Server:
    """One of our servers on this engine, as its labels tell it."""

    name: str
    id: str
    model: str
    plan: str
    status: str
    image: str
    url: str
    gpus: str
    started: str
    health: str


def execute(
    client: Any, container: Any, argv: list[str], show: Callable[[str], None] | None = None
) -> tuple[int, str]:
    """Run a command in a container; its status and its output. `show` gets each line as it comes."""
    created = client.api.exec_create(container.id, argv)["Id"]
    said = []
    for line in split_lines(client.api.exec_start(created, stream=True)):
        said.append(line)
        if show:
            show(line)
    return client.api.exec_inspect(created)["ExitCode"], "\n".join(said)


def servers(client: Any) -> list[Server]:
    """All of our servers, running or not, by name."""
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return sorted((_server(container) for container in found), key=lambda server: server.name)


def _server(container: Any) -> Server:
    labels = container.labels
    return Server(
        container.name,
        container.short_id,
        labels.get("slipway.model", ""),
        labels[LABEL],
        container.status,
        labels.get("slipway.image", ""),
        labels.get("slipway.url", ""),
        labels.get("slipway.gpus", ""),
        container.attrs["State"].get("StartedAt", ""),
        container.attrs["State"].get("Health", {}).get("Status", ""),
    )


def find(client: Any, name: str = "") -> Any:
    """One of our containers: the named one, else the only one. Raises Refused when that is not clear."""
    ours = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    named = [c for c in ours if name in ("", c.name)]
    if len(named) == 1:
        return named[0]
    known = ", ".join(sorted(c.name for c in ours)) or "none"
    if name and not named:
        raise Refused(f"no server of ours is called '{name}'", why=f"there are: {known}", fix="invoke ps")
    if not ours:
        raise Refused("no server of ours is here", fix="invoke run starts one")
    raise Refused("which server?", why=f"there are: {known}", fix="--name NAME")
