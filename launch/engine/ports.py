"""Choose and check the ports of a plan on this host."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from errors import Refused
from launch.engine.servers import LABEL
from launch.spec.plan import AUTO_PORT, FIRST_PORT, Plan, Port

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


def bound_by(container: Container | None) -> tuple[Port, ...]:
    """Return the ports of this host that a container binds when it runs. It may be stopped."""
    bindings = container.attrs["HostConfig"].get("PortBindings") if container is not None else {}
    return tuple(
        Port(host.get("HostIp", ""), int(host["HostPort"]), int(inner.partition("/")[0]))
        for inner, hosts in (bindings or {}).items()
        for host in hosts or ()
        if host.get("HostPort", "").isdigit()
    )


def held_by(container: Container | None) -> set[int]:
    """Return the ports of this host that a container uses; they become free when it is replaced."""
    if container is None or container.status not in ("running", "paused"):
        return set()
    bound = container.attrs["NetworkSettings"]["Ports"] or {}
    own = urlsplit(container.labels.get("slipway.url", "")).port  # also on the network of the host
    return {int(host["HostPort"]) for hosts in bound.values() for host in hosts or ()} | (
        {own} if own else set()
    )


def of_servers(client: DockerClient) -> dict[int, str]:
    """Return the port of every server, running or not, with the server's name.

    A stopped server keeps its port, because `invoke restart` needs it again.
    """
    rows = client.api.containers(all=True, filters={"label": LABEL})
    urls = ((row["Labels"].get("slipway.url", ""), row["Names"]) for row in rows)
    return {port: str(names[0]).lstrip("/") for url, names in urls if names and (port := urlsplit(url).port)}


def choose(plan: Plan, existing: Container | None, servers: Mapping[int, str]) -> Plan:
    """Return the plan with a port in place of AUTO_PORT. The container that the plan replaces passes on its port.

    The caller holds the lock of the host until the container has started.
    """
    wanted = next((port for port in plan.container.ports if port.host == AUTO_PORT), None)
    if wanted is None:
        return plan
    held, own = held_by(existing), {port.host for port in bound_by(existing)}
    usable = (port for port in sorted(own) if port in held or not _is_taken(wanted.host_ip, port))
    kept = next(usable, None)
    return plan.with_port(kept or first_free(wanted.host_ip, servers))


def first_free(address: str, avoid: Collection[int] = ()) -> int:
    """Return the first free port from FIRST_PORT on, except those to avoid. Raises Refused if there is none."""
    for port in range(FIRST_PORT, 65536):
        if port not in avoid and not _is_taken(address, port):
            return port
    raise Refused(f"no port from {FIRST_PORT} on is free on {address}", fix="ss -ltn")


def refuse_taken(
    ports: Collection[Port], servers: Mapping[int, str], except_for: Collection[int] = (), fix: str = ""
) -> None:
    """Raise Refused if another process listens on one of the ports."""
    for port in ports:
        if port.host == AUTO_PORT or port.host in except_for or not _is_taken(port.host_ip, port.host):
            continue
        name = servers.get(port.host, "")
        user = f"the server '{name}' uses it" if name else "another process listens there"
        raise Refused(
            f"port {port.host} on {port.host_ip or 'this host'} is taken",
            why=user,
            fix=fix or "--port auto takes the first free one",
        )


def _is_taken(address: str, port: int) -> bool:
    """Return whether a process listens there. Ports that only root may bind are left to the engine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address or "0.0.0.0", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
