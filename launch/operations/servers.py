"""Restart one server, or stop several, without a conflict over a port or a GPU."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch.allocation.holders import holder_of, holders
from launch.allocation.reservation import conflicts, locked
from launch.engine import containers, ports
from launch.hardware.detect import detect
from launch.operations import supervised_launch
from launch.supervision import service

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_STOPPED_AT_ONCE = 8


def restart(client: DockerClient, container: Container, timeout: int = 30) -> None:
    """Restart a container with its port and its GPUs. Raises Refused if another container has them by now."""
    with locked():
        _refuse_taken(client, container)
        container.restart(timeout=timeout)


def _refuse_taken(client: DockerClient, container: Container) -> None:
    name = str(container.name)
    fix = f"`invoke run --name {name}` with the options of this server plans it again"
    own = holder_of(container.attrs)
    if own.gpus and (taken := conflicts(own, holders(client), detect().gpus)):
        raise Refused(f"the GPUs of '{name}' are taken", why="; ".join(taken), fix=fix)
    servers = {port: other for port, other in ports.of_servers(client).items() if other != name}
    ports.refuse_taken(ports.bound_by(container), servers, except_for=ports.held_by(container), fix=fix)


def stop_all(servers: Iterable[Container], timeout: int = 30) -> None:
    """Stop servers at the same time. Raises Failed with the names of those that could not be stopped."""
    servers = tuple(servers)
    with ThreadPoolExecutor(_STOPPED_AT_ONCE) as pool:
        errors = list(pool.map(lambda server: _stop(server, timeout), servers))
    if failures := [
        f"{server.name}: {error}" for server, error in zip(servers, errors, strict=True) if error
    ]:
        raise Failed("some servers were not stopped", why="; ".join(failures), fix="invoke ps")


def _stop(server: Container, timeout: int) -> str:
    """End the supervision of a server and stop it. Return the error, "" if the server is gone."""
    from docker.errors import APIError, NotFound

    try:
        service.end(str(server.name))
        supervised_launch.forget(str(server.name))
        containers.stop(server, timeout)
    except NotFound:  # another command removed it meanwhile
        return ""
    except (APIError, OSError, Failed) as error:
        return str(error).splitlines()[0][:200]
    return ""
