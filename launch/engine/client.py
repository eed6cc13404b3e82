"""Connect to the container engine: Docker through its SDK, podman through its Docker-compatible socket."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from launch.engine.log_stream import split_lines

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_SHORT_REASONS = ("Permission denied", "Connection refused", "No such file")


def sockets() -> list[str]:
    """Return the URLs where an engine may listen, the most explicit one first."""
    if os.environ.get("DOCKER_HOST"):
        return [os.environ["DOCKER_HOST"]]
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    files = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    return [f"unix://{file}" for file in files if Path(file).exists()]


def connect(timeout: int = 60) -> DockerClient:
    """Return a client of the first engine that answers. Raises Failed with the reason of each socket."""
    import docker
    from docker.errors import DockerException

    reasons = []
    for url in sockets():
        try:
            client = docker.DockerClient(base_url=url, timeout=timeout)
            client.ping()
            return client
        except DockerException as error:
            reasons.append(f"{url}: {_short_reason(error)}")
    why = "; ".join(reasons) or "no engine socket exists"
    fix = (
        "add this user to the group that owns the socket, or run as root"
        if "ermission" in why
        else "start Docker or Podman; in a clone, root on Debian or Ubuntu can install Docker with `make engine`"
    )
    raise Failed("no container engine answers", why=why, fix=fix)


def _short_reason(error: Exception) -> str:
    text = str(error)
    return next((reason for reason in _SHORT_REASONS if reason in text), text.splitlines()[0][:200])


def is_podman(client: DockerClient) -> bool:
    """Return whether the engine is podman, which ignores device requests without an error."""
    answer = client.api.head(f"{client.api.base_url}/_ping")  # /version takes half a second on podman
    return "Libpod-API-Version" in answer.headers


def url_of_socket(client: DockerClient) -> str:
    """Return the URL of the socket that a client uses; "" if it uses another connection."""
    adapter = client.api.adapters.get("http+docker://")
    path = str(getattr(adapter, "socket_path", ""))
    return f"unix://{path}" if path else ""


def nvidia_hook() -> str:
    """Return the path of the hook that Docker needs for `--gpus`; "" if it is not installed.

    The base package of NVIDIA's container toolkit has nvidia-ctk but no hook; with it, only CDI works.
    """
    names = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")
    return next((path for path in map(shutil.which, names) if path), "")


def cdi_reason(client: DockerClient) -> str:
    """Return why this engine passes NVIDIA GPUs by CDI name only; "" if it has another way or no way."""
    if is_podman(client):
        return "podman takes GPUs by CDI name only"
    info = client.info()
    if nvidia_hook() or "nvidia" in (info.get("Runtimes") or {}):
        return ""
    return "the engine has no NVIDIA container toolkit and reads CDI specs" if info.get("CDISpecDirs") else ""


def runtime(client: DockerClient) -> str:
    """Return the name of the OCI runtime that starts containers: runc, crun."""
    return str(client.info().get("DefaultRuntime") or "")


def execute(
    client: DockerClient, container: Container, argv: list[str], show: Callable[[str], None] | None = None
) -> tuple[int, str]:
    """Run a command in a container; return its exit status and output. `show` gets each line as it arrives."""
    command = client.api.exec_create(container.id, argv)["Id"]
    lines = []
    for line in split_lines(client.api.exec_start(command, stream=True)):
        lines.append(line)
        if show:
            show(line)
    return client.api.exec_inspect(command)["ExitCode"], "\n".join(lines)
