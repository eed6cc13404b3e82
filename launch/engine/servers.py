"""Find Slipway's servers on the engine. Their state is in the container's labels (`slipway.*`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Refused
from launch.access.profiles import HUB

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "slipway.plan"  # the digest of the plan; every server has it
STATE = "slipway.state"  # the state folder of the Slipway that started the server


class UnknownServer(Refused):
    """No Slipway server has that name."""


@dataclass(frozen=True)
class Server:
    """A server, as its labels and its state describe it."""

    name: str
    id: str
    model: str
    commit: str
    plan: str
    status: str
    image: str
    url: str
    gpus: str
    started: str
    health: str
    image_name: str = ""
    image_id: str = ""
    image_digest: str = ""
    vllm: str = ""
    vllm_commit: str = ""
    channel: str = ""
    cache: str = ""  # the Hugging Face cache on this host that is mounted; "" for a local folder


def list_servers(client: DockerClient) -> list[Server]:
    """Return all servers, running or not, by name."""
    return [_describe(container) for container in _containers(client)]


def find(client: DockerClient, name: str = "") -> Container:
    """Return the container of the named server, else of the only one. Raises Refused."""
    servers = _containers(client)
    matching = [container for container in servers if name in ("", container.name)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(str(container.name) for container in servers)
    if not servers:
        raise Refused("no Slipway server exists", fix="start one with `invoke run`")
    if not matching:
        raise UnknownServer(f"no Slipway server named '{name}'", why=f"servers: {names}", fix="invoke ps")
    raise Refused("there are several servers", why=f"servers: {names}", fix="give a NAME")


def find_own(client: DockerClient, state: Path) -> tuple[list[Container], list[str]]:
    """Return the servers that were started with this state folder, and the names of all others.

    Each user has a state folder, so `invoke stop --all` on a shared host leaves the servers of other users running.
    """
    servers = _containers(client)
    own = [container for container in servers if container.labels.get(STATE) == str(state)]
    return own, [str(container.name) for container in servers if container not in own]


def image_id_of(client: DockerClient, name: str) -> str:
    """Return the id of the image that the servers use which were started with this image name; "" for none."""
    found = client.containers.list(
        all=True, filters={"label": f"slipway.image_name={name}"}, ignore_removed=True
    )
    return next((container.labels.get("slipway.image_id", "") for container in found), "")


def users_of(client: DockerClient, model: str, hub: Path) -> list[str]:
    """Return the names of the running servers that serve this model from this Hugging Face cache."""
    return [
        str(container.name)
        for container in _containers(client)
        if container.status == "running"
        and container.labels.get("slipway.model") == model
        and _mounts(container.attrs, hub)
    ]


def _mounts(attributes: dict[str, Any], hub: Path) -> bool:
    """Return whether a container has this folder as its cache. One without such a mount may have it elsewhere."""
    return not (source := _cache(attributes)) or Path(source).resolve() == hub.resolve()


def _cache(attributes: dict[str, Any]) -> str:
    """Return the folder of this host that a container has as its Hugging Face cache, "" for none."""
    mounts = attributes.get("Mounts") or []
    return next((str(mount.get("Source")) for mount in mounts if mount.get("Destination") == HUB), "")


def _containers(client: DockerClient) -> list[Container]:
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return sorted(found, key=lambda container: str(container.name))


def _describe(container: Container) -> Server:
    labels, state = container.labels, container.attrs["State"]
    return Server(
        name=str(container.name),
        id=container.short_id,
        model=labels.get("slipway.model", ""),
        commit=labels.get("slipway.commit", ""),
        plan=labels[LABEL],
        status=container.status,
        image=labels.get("slipway.image", ""),
        url=labels.get("slipway.url", ""),
        gpus=labels.get("slipway.gpus", ""),
        started=state.get("StartedAt", ""),
        health=state.get("Health", {}).get("Status", ""),
        image_name=labels.get("slipway.image_name", ""),
        image_id=labels.get("slipway.image_id", ""),
        image_digest=labels.get("slipway.image_digest", ""),
        vllm=labels.get("slipway.vllm", ""),
        vllm_commit=labels.get("slipway.vllm_commit", ""),
        channel=labels.get("slipway.channel", ""),
        cache=_cache(container.attrs),
    )
