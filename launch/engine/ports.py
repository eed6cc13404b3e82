"""Check that the ports of a plan are free on this host."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from errors import Refused
from launch.spec.plan import Plan

if TYPE_CHECKING:
    from docker.models.containers import Container


def held_by(container: Container | None) -> set[int]:
    """Return the ports of this host that a container uses; they become free when it is replaced."""
    bound = container.attrs["NetworkSettings"]["Ports"] if container is not None else {}
    return {int(host["HostPort"]) for hosts in (bound or {}).values() for host in hosts or ()}


def refuse_taken(plan: Plan, except_for: set[int]) -> None:
    """Raise Refused if another process listens on a port of the plan."""
    for port in plan.container.ports:
        if port.host not in except_for and _is_taken(port.host_ip, port.host):
            free = port.host + 1 if port.host < 65535 else 8000
            raise Refused(
                f"port {port.host} on {port.host_ip or 'this host'} is taken",
                fix=f"--port {free}; `ss -ltnp sport = :{port.host}` shows which process listens there",
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
