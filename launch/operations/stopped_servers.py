"""Stop the servers of this host for a benchmark of layouts, and start them again after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch.engine.servers import STATE, find, list_servers
from launch.operations import servers
from launch.operations.events import Events
from launch.paths import state_dir
from launch.supervision import service

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

NAME = "slipway-layouts"  # of the servers that are measured
STOP_SECONDS = 30


@contextmanager
def without_servers(client: DockerClient, stop: bool, events: Events) -> Iterator[None]:
    """Stop the servers that run for the block, and start them again after it. Raises Refused unless `stop`."""
    running = [find(client, one.name) for one in list_servers(client) if one.status == "running"]
    _require_free(running, stop)
    stopped: list[Container] = []
    try:
        for server in running:
            events.note(f"{server.name}: stopped for the benchmark")
            stopped.append(server)
            server.stop(timeout=STOP_SECONDS)
        yield
    finally:
        _put_back(client, stopped, events)


def _require_free(running: list[Container], stop: bool) -> None:
    names = ", ".join(str(server.name) for server in running)
    if running and not stop:
        why = f"it would be measured together with: {names}"
        raise Refused("a server runs on this host", why=why, fix="--stop-server, or invoke stop")
    if NAME in [server.name for server in running]:
        why = "another benchmark of layouts runs, or one was killed"
        raise Refused(f"'{NAME}' runs already", why=why, fix=f"invoke stop {NAME}")
    if others := [str(one.name) for one in running if one.labels.get(STATE) != str(state_dir())]:
        why = "it was started with another state folder, so by another user"
        raise Refused(f"'{others[0]}' is not stopped", why=why, fix="wait until it has ended")
    if supervised := [str(server.name) for server in running if service.pid(str(server.name))]:
        why = "its supervisor would start it again during the benchmark"
        raise Refused(f"'{supervised[0]}' is supervised", why=why, fix=f"invoke stop {supervised[0]}")


def _put_back(client: DockerClient, stopped: list[Container], events: Events) -> None:
    """Start servers again. Raises Failed with the command for one that cannot be started."""
    failed: list[str] = []
    for server in stopped:
        try:
            servers.restart(client, server)
            events.note(f"{server.name}: started again")
        except Exception as error:  # the others have to be started too
            failed.append(f"{server.name}: {str(error).splitlines()[0]}")
    if failed:
        names = " && ".join(f"invoke restart {line.split(':')[0]}" for line in failed)
        raise Failed("a server was not started again", why="; ".join(failed), fix=names)
