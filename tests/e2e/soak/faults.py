"""What goes wrong in a soak test: each fault is a function of the host, and may return how it is put right again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from docker.errors import APIError

from tests.conftest import SERVER
from tests.hosts.engines import start_docker
from tests.hosts.simulated_host import SimulatedHost

if TYPE_CHECKING:
    from docker.models.containers import Container

STATE = "/run/slipway-state"  # the state folder of the host: a disk of its own, so that it can be filled
API_SERVER, ENGINE_CORE = "vllm serve", "EngineCore"
ENOUGH = 16 << 30  # bytes
Undo = Callable[[], object]
Fault = Callable[[SimulatedHost], Undo | None]


def server(host: SimulatedHost) -> Container:
    """Return the container of the server."""
    return host.engine().containers.get(SERVER)


def process(host: SimulatedHost, name: str) -> str:
    """Return the ID on the host of a process of the container."""
    table = server(host).top()
    command, pid = table["Titles"].index("CMD"), table["Titles"].index("PID")
    return next(row[pid] for row in table["Processes"] if name in row[command])


def send(host: SimulatedHost, signal: str, process_id: str) -> None:
    """Send a signal to a process of the host."""
    host.run("kill", f"-{signal}", process_id).ok()


def kill_9_of_the_engine_core(host: SimulatedHost) -> None:
    send(host, "KILL", process(host, ENGINE_CORE))


def kill_9_of_the_API_server(host: SimulatedHost) -> None:
    send(host, "KILL", process(host, API_SERVER))


def kill_9_of_the_container(host: SimulatedHost) -> None:
    server(host).kill()


def SIGSTOP_of_the_engine_core(host: SimulatedHost) -> None:
    send(host, "STOP", process(host, ENGINE_CORE))


def SIGSTOP_of_the_API_server(host: SimulatedHost) -> None:
    send(host, "STOP", process(host, API_SERVER))


def out_of_memory(host: SimulatedHost) -> None:
    """Let the kernel end the engine core for the container's lack of memory."""
    core = process(host, ENGINE_CORE)
    host.run("sh", "-c", f"echo 1000 > /proc/{core}/oom_score_adj").ok()
    container = server(host)
    facts = container.stats(stream=False)
    assert isinstance(facts, dict)
    used = facts["memory_stats"]["usage"]
    container.update(mem_limit=used + (64 << 20), memswap_limit=used + (64 << 20))
    container.exec_run(["python3", "-c", "hog = bytearray(512 << 20)"])
    lift_the_limit(container)


def lift_the_limit(container: Container) -> None:
    """Give a container enough memory again: a limit outlives a restart. The engine refuses it while one ends."""
    for attempt in range(50):
        try:
            container.update(mem_limit=ENOUGH, memswap_limit=ENOUGH)
            return
        except APIError:
            if attempt == 49:
                raise
            time.sleep(0.2)


def container_full_disk(host: SimulatedHost) -> None:
    server(host).exec_run(["dd", "if=/dev/zero", "of=/tmp/full", "bs=1M"])


def host_full_disk_and_kill_9_of_the_container(host: SimulatedHost) -> Undo:
    """Fill the disk on which the supervisor records events and saves logs, and give it a death to record."""
    host.run("dd", "if=/dev/zero", f"of={STATE}/full", "bs=1M")
    server(host).kill()
    return lambda: host.run("rm", f"{STATE}/full").ok()


def restart_of_the_container_engine(host: SimulatedHost) -> None:
    host.stop()
    start_again(host)


def kill_9_of_the_container_engine(host: SimulatedHost) -> None:
    for pid in host.run("pidof", "dockerd").ok().out.split():
        send(host, "KILL", pid)
    host.stop()
    start_again(host)


def start_again(host: SimulatedHost) -> None:
    """Start the container engine and wait until it answers."""
    (host.root / host.socket).unlink(missing_ok=True)
    start_docker(host)
    host.engine().ping()


FAULTS: tuple[Fault, ...] = (
    kill_9_of_the_engine_core,
    restart_of_the_container_engine,
    container_full_disk,
    kill_9_of_the_API_server,
    host_full_disk_and_kill_9_of_the_container,
    SIGSTOP_of_the_engine_core,
    kill_9_of_the_container_engine,
    out_of_memory,
    kill_9_of_the_container,
    SIGSTOP_of_the_API_server,
)
