"""One running server, as a benchmark needs it: a container of an engine here, or a pod of a cluster (launch/deploy)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from errors import Failed
from launch.bench import server
from launch.bench.host import HostWatch, Watch
from launch.bench.record import Server
from launch.engine import usage
from launch.engine.attached_exec import execute_attached
from launch.engine.client import execute
from launch.hardware.types import Gpu

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

Neighbours = Callable[[], Sequence[str]]


class Instance(Protocol):
    """A server that runs, what it is, and programs next to it. Programs raise Failed if they cannot run."""

    def start_id(self) -> str:
        """Return what changes with every start of the server."""

    def describe(self, start_id: str) -> Server:
        """Return what the server is."""

    def gone(self, start_id: str) -> str:
        """Return what happened to the server since that start; "" if it still runs."""

    def watch(self, gpus: Sequence[Gpu], neighbours: Neighbours) -> Watch:
        """Return what observes the host during a run."""

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Run a program next to the server and return its exit status and output."""

    def run_attached(
        self,
        argv: Sequence[str],
        show: Callable[[str], None],
        pid_file: str,
        started: Callable[[int], None],
    ) -> tuple[int, str]:
        """Run a program that ends with its caller; `started` gets its process id on this host, if it has one."""


@dataclass(frozen=True)
class ContainerInstance:
    """A server in a container of an engine."""

    client: DockerClient
    container: Container

    def start_id(self) -> str:
        """Return its id, the time of its start and the restarts."""
        return server.start_id(self.container)

    def describe(self, start_id: str) -> Server:
        """Return what the engine and the labels tell."""
        return server.describe(self.client, self.container, start_id)

    def gone(self, start_id: str) -> str:
        """Return what happened to the container."""
        try:
            with engine_errors():
                restarted = self.start_id() != start_id
                status = self.container.status
        except Failed:
            return "the server's container was removed"
        if status != "running":
            return f"the server's container ended (its state is '{status}')"
        return "the server's container was restarted" if restarted else ""

    def watch(self, gpus: Sequence[Gpu], neighbours: Neighbours) -> Watch:
        """Observe this host, which is the server's."""
        return HostWatch(gpus, lambda: usage.cpu_seconds(self.client, self.container), neighbours)

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Run a program in the container."""
        with engine_errors():
            return execute(self.client, self.container, list(argv))

    def run_attached(
        self,
        argv: Sequence[str],
        show: Callable[[str], None],
        pid_file: str,
        started: Callable[[int], None],
    ) -> tuple[int, str]:
        """Run a program in the container that ends with this one."""
        with engine_errors():
            return execute_attached(self.client, self.container, list(argv), show, pid_file, started)


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn an error of the engine, which does not know the container any more, into Failed."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise Failed("the connection to the container ended", why=reason, fix="invoke ps") from None
