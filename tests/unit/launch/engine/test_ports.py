"""Ports of a plan: which one `--port auto` chooses, and the refusal of one that is taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Refused
from launch.engine import ports
from launch.spec.plan import AUTO_PORT, Plan, Port
from tests.unit.launch.plan_builders import plan


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Ports on which a process of this host listens."""
    found = set[int]()
    monkeypatch.setattr(ports, "_is_taken", lambda address, port: port in found)
    yield found


def auto() -> Plan:
    return plan(port=AUTO_PORT)


def existing(port: int, status: str = "exited") -> Any:
    bound = {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
    attrs = {
        "HostConfig": {"PortBindings": bound},
        "NetworkSettings": {"Ports": bound if status == "running" else {}},
    }
    labels = {"slipway.url": f"http://127.0.0.1:{port}"}
    return SimpleNamespace(attrs=attrs, status=status, labels=labels)


def chosen(made: Plan) -> int:
    return made.container.ports[0].host


def test_choose_takes_the_first_free_port(taken: set[int]) -> None:
    assert chosen(ports.choose(auto(), None, {})) == 8000
    taken |= {8000, 8001}
    assert chosen(ports.choose(auto(), None, {})) == 8002


def test_choose_leaves_the_port_of_a_stopped_server(taken: set[int]) -> None:
    assert chosen(ports.choose(auto(), None, {8000: "replica-1"})) == 8001


def test_choose_keeps_the_port_of_the_replaced_server(taken: set[int]) -> None:
    taken.add(8005)
    assert chosen(ports.choose(auto(), existing(8005, "running"), {8005: "replica-1"})) == 8005
    assert chosen(ports.choose(auto(), existing(8007), {8007: "replica-1"})) == 8007


def test_choose_gives_another_port_if_the_one_of_the_stopped_server_is_taken(taken: set[int]) -> None:
    taken.add(8005)
    assert chosen(ports.choose(auto(), existing(8005), {8005: "replica-1"})) == 8000


def test_choose_does_not_change_a_given_port(taken: set[int]) -> None:
    given = plan(port=8123)
    assert ports.choose(given, existing(8005), {}) is given


def test_first_free_refuses_if_every_port_is_taken(taken: set[int]) -> None:
    taken |= set(range(8000, 65536))
    with pytest.raises(Refused, match="no port from 8000 on is free"):
        ports.first_free("127.0.0.1")


@pytest.mark.parametrize(
    ("servers", "why"),
    [({8000: "replica-1"}, "the server 'replica-1' uses it"), ({}, "another process listens there")],
)
def test_refuse_taken_names_what_uses_the_port(taken: set[int], servers: dict[int, str], why: str) -> None:
    taken.add(8000)
    with pytest.raises(Refused, match=r"port 8000 on 127\.0\.0\.1 is taken") as refused:
        ports.refuse_taken((Port("127.0.0.1", 8000, 8000),), servers)
    assert (refused.value.why, refused.value.fix) == (why, "--port auto takes the first free one")


def test_refuse_taken_allows_the_port_of_the_replaced_server(taken: set[int]) -> None:
    taken.add(8000)
    ports.refuse_taken(
        (Port("127.0.0.1", 8000, 8000),), {}, except_for=ports.held_by(existing(8000, "running"))
    )


def test_held_by_a_stopped_container_is_nothing() -> None:
    assert ports.held_by(existing(8000)) == set()
    assert ports.held_by(None) == set()


def test_of_servers_reads_the_labels() -> None:
    rows = [
        {"Names": ["/replica-1"], "Labels": {"slipway.url": "http://[::1]:8001"}},
        {"Names": ["/old"], "Labels": {}},
    ]
    client: Any = SimpleNamespace(api=SimpleNamespace(containers=lambda **options: rows))
    assert ports.of_servers(client) == {8001: "replica-1"}


def test_a_listening_process_takes_a_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        with pytest.raises(Refused):
            ports.refuse_taken((Port("127.0.0.1", number, 8000),), {})
    ports.refuse_taken((Port("127.0.0.1", number, 8000),), {})
