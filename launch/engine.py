"""The container engine: find it, start a plan on it, and find again what we started.

Docker through its SDK; podman through its Docker-compatible socket. State lives in labels (`slipway.*`).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed, Refused
from launch.lines import split_lines
from launch.plan import Plan

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
    parts = client.version().get("Components") or []
    return any("podman" in str(part.get("Name", "")).lower() for part in parts)


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
    found = client.containers.list(all=True, filters={"label": LABEL})
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
    )


def find(client: Any, name: str = "") -> Any:
    """One of our containers: the named one, else the only one. Raises Refused when that is not clear."""
    ours = client.containers.list(all=True, filters={"label": LABEL})
    named = [c for c in ours if name in ("", c.name)]
    if len(named) == 1:
        return named[0]
    known = ", ".join(sorted(c.name for c in ours)) or "none"
    if name and not named:
        raise Refused(f"no server of ours is called '{name}'", why=f"there are: {known}", fix="invoke ps")
    if not ours:
        raise Refused("no server of ours is here", fix="invoke run starts one")
    raise Refused("which server?", why=f"there are: {known}", fix="--name NAME")


def name_of(plan: Plan) -> str:
    """The container's name: the plan's own, else one made from the model."""
    return plan.container.name or "slipway-" + re.sub(
        r"[^a-z0-9.]+", "-", plan.model.rpartition("/")[2].lower()
    )


def url_of(plan: Plan) -> str:
    """Where the server answers on this host."""
    port = plan.container.ports[0] if plan.container.ports else None
    if not port:
        return "http://127.0.0.1:8000"
    return f"http://{'127.0.0.1' if port.host_ip in ('', '0.0.0.0') else port.host_ip}:{port.host}"


def start(client: Any, plan: Plan, *, replace: bool = False) -> tuple[Any, bool]:
    """The container of a plan, and whether it was started now. The same plan already running is left alone.

    Raises Refused for another plan or a stranger's container under that name and for a taken port.
    """
    from docker.errors import APIError

    name = name_of(plan)
    if (there := _there(client, name)) is not None:
        if _keep(there, plan, replace):
            return there, False
        remove(there)
    _refuse_taken(plan)
    for mount in plan.container.mounts:
        if not mount.read_only and mount.source.startswith("/"):
            Path(mount.source).mkdir(parents=True, exist_ok=True)  # the engine would make it, as root
    container = client.containers.create(**_arguments(plan, name))
    try:
        container.start()
    except APIError as error:
        container.remove(force=True)
        raise Failed(
            f"the engine could not start {name}",
            why=str(error.explanation or error)[:500],
            fix="invoke doctor shows what this host lacks",
        ) from None
    return container, True


def _arguments(plan: Plan, name: str) -> dict[str, Any]:
    from launch.render import sdk

    labels = {
        LABEL: plan.digest,
        "slipway.model": plan.model,
        "slipway.image": plan.image,
        "slipway.url": url_of(plan),
        "slipway.vllm": plan.vllm_version,
        "slipway.strategy": plan.strategy,
        "slipway.gpus": ",".join(plan.container.gpu_ids or plan.container.devices),
    }
    logs = {"type": "json-file", "config": {"max-size": "100m", "max-file": "3"}}
    return {
        **sdk.arguments(plan, plan.processes[0]),
        "name": name,
        "labels": labels,
        "log_config": logs,
        "detach": True,
    }


def _there(client: Any, name: str) -> Any:
    from docker.errors import NotFound

    try:
        return client.containers.get(name)
    except NotFound:
        return None


def _keep(there: Any, plan: Plan, replace: bool) -> bool:
    """Whether what has our name is what we want. Raises Refused if it is a stranger's or another plan."""
    known = there.labels.get(LABEL)
    if known is None:
        raise Refused(
            f"a container called {there.name} exists and is not ours", fix=f"docker rename {there.name} OTHER"
        )
    if there.status != "running":
        return False
    if known == plan.digest and not replace:
        return True
    if not replace:
        raise Refused(
            f"{there.name} already runs another plan ({known}, this one is {plan.digest})",
            fix="--replace stops it first, or invoke stop",
        )
    return False


def _refuse_taken(plan: Plan) -> None:
    for port in plan.container.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host_ip or "0.0.0.0", port.host))
            except OSError as error:
                raise Refused(
                    f"port {port.host} on {port.host_ip or 'this host'} is taken",
                    why=str(error.strerror),
                    fix=f"--port {port.host + 1}, or see who has it: ss -ltnp sport = :{port.host}",
                ) from None


def stop(container: Any, timeout: int = 30) -> None:
    """Ask it to finish, wait, and take it away; after `timeout` seconds it is killed."""
    container.stop(timeout=timeout)
    remove(container)


def remove(container: Any) -> None:
    """Take a container of ours away, running or not, keeping what it said last under results/logs/."""
    folder = Path("results/logs")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{container.name}-{container.short_id}.log").write_bytes(
        container.logs(tail=20000, timestamps=True)
    )
    container.remove(force=True, v=True)
