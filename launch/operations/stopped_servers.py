"""Stop the servers of this host for a benchmark of layouts, and start them again after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from errors import Failed, Refused, SlipwayError
from launch.engine import containers
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
    """Start servers again. Raises Failed with the commands for those that cannot be started."""
    attempts = {NAME: lambda: _remove_left_over(client)}  # it may hold their GPUs
    attempts |= {str(server.name): partial(_start_again, client, server, events) for server in stopped}
    errors = {name: error for name, attempt in attempts.items() if (error := _error_of(attempt))}
    if not errors:
        return
    why = "; ".join(f"{name}: {_reason(error)}" for name, error in errors.items())
    fix = " && ".join(f"invoke {'stop' if name == NAME else 'restart'} {name}" for name in errors)
    failed = Failed("the servers of this host are not as they were before", why=why, fix=fix)
    interrupts = [error for error in errors.values() if not isinstance(error, Exception)]
    if interrupts:
        events.note(str(failed))  # a command that is interrupted prints no error
        raise interrupts[0] from failed
    raise failed


def _remove_left_over(client: DockerClient) -> None:
    """Remove the server of a layout whose own removal was interrupted."""
    with suppress(Refused):  # there is none
        containers.stop(find(client, NAME), STOP_SECONDS)


def _start_again(client: DockerClient, server: Container, events: Events) -> None:
    servers.restart(client, server)
    events.note(f"{server.name}: started again")


def _error_of(attempt: Callable[[], None]) -> BaseException | None:
    """Return how an attempt failed. An interrupt too is only returned: the other servers have to be started."""
    try:
        attempt()
    except BaseException as error:
        return error
    return None


def _reason(error: BaseException) -> str:
    """Return an error on one line."""
    if isinstance(error, SlipwayError):
        return f"{error.what}: {error.why}".removesuffix(": ")
    return " ".join(str(error).split())[:200] or type(error).__name__
