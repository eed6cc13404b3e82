"""Restart and stop: ports and GPUs that another container has by now, and several servers at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed, Refused
from launch.allocation.holders import GpuSet, Holder
from launch.engine import ports
from launch.hardware.types import Gpu
from launch.operations import servers

GPUS = tuple(Gpu(i, "nvidia", uuid=f"GPU-{i}") for i in range(8))


class Server:
    """A stopped server with GPU 0 and a port."""

    def __init__(self, name: str = "replica-1", error: Exception | None = None) -> None:
        self.name, self.status, self.short_id = name, "exited", "0123"
        self.labels = {"slipway.url": "http://127.0.0.1:8001", "slipway.gpus": "GPU-0"}
        bound = {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]}
        self.attrs = {
            "Name": f"/{name}",
            "Config": {"Labels": self.labels},
            "HostConfig": {"PortBindings": bound},
            "NetworkSettings": {"Ports": {}},
        }
        self.error, self.calls = error, list[str]()

    def restart(self, timeout: int) -> None:
        self.calls.append("restart")

    def logs(self, **options: Any) -> bytes:
        return b""

    def remove(self, **options: Any) -> None:
        if self.error:
            raise self.error
        self.calls.append("remove")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[SimpleNamespace]:
    """A host with eight GPUs: the containers with GPUs, the ports on which a process listens."""
    found = SimpleNamespace(holders=[], taken=set(), locked=0)

    @contextmanager
    def locked() -> Iterator[None]:
        found.locked += 1
        yield

    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(servers, "locked", locked)
    monkeypatch.setattr(servers, "holders", lambda client: found.holders)
    monkeypatch.setattr(servers, "detect", lambda: SimpleNamespace(gpus=GPUS))
    monkeypatch.setattr(ports, "of_servers", lambda client: {8001: "replica-1"})
    monkeypatch.setattr(ports, "_is_taken", lambda address, port: port in found.taken)
    yield found


CLIENT: Any = None


def test_restart_holds_the_lock_of_the_host(host: SimpleNamespace) -> None:
    server: Any = Server()
    servers.restart(CLIENT, server)
    assert (server.calls, host.locked) == (["restart"], 1)


def test_restart_refuses_gpus_that_another_container_has(host: SimpleNamespace) -> None:
    host.holders = [Holder("replica-2", GpuSet.of(["GPU-0"]))]
    server: Any = Server()
    with pytest.raises(Refused, match="the GPUs of 'replica-1' are taken") as refused:
        servers.restart(CLIENT, server)
    assert refused.value.why == "GPU 0: container replica-2"
    assert "invoke run --name replica-1" in refused.value.fix
    assert server.calls == []


def test_restart_refuses_a_port_that_another_process_has(host: SimpleNamespace) -> None:
    host.taken = {8001}
    server: Any = Server()
    with pytest.raises(Refused, match="port 8001") as refused:
        servers.restart(CLIENT, server)
    assert refused.value.why == "another process listens there"
    assert server.calls == []


def test_stop_all_stops_every_server_and_names_those_that_remain(host: SimpleNamespace) -> None:
    from docker.errors import APIError, NotFound

    stopped: list[Any] = [
        Server("a"),
        Server("b", APIError("busy")),
        Server("c", NotFound("gone")),
        Server("d"),
    ]
    with pytest.raises(Failed) as failed:
        servers.stop_all(stopped)
    assert failed.value.why == "b: busy"
    assert [server.calls for server in stopped] == [["remove"], [], [], ["remove"]]
