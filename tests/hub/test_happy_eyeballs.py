"""Hosts with several addresses, of which some do not answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from launch.http import happy_eyeballs
from launch.http.connection import Route

Resolved = list[tuple[int, int, int, str, tuple[str, int]]]


@pytest.fixture
def answering() -> Iterator[int]:
    """A port of 127.0.0.1 on which connections are accepted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def silent(answering: int) -> Iterator[str]:
    """An address on which the same port swallows SYNs: a listener whose queue is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.2", answering))
        server.listen(0)
        queue = [socket.socket() for _ in range(3)]
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", answering))
        yield "127.0.0.2"
        for waiting in queue:
            waiting.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def resolve(host: str, port: int, *options: Any) -> Resolved:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_first_address_that_swallows_packets_costs_a_moment(
    answering: int, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, silent, "127.0.0.1")
    start = time.monotonic()
    with happy_eyeballs.connect(("hub.invalid", answering), timeout=10) as connected:
        assert connected.getpeername()[0] == "127.0.0.1"
        assert connected.gettimeout() == 10
    assert time.monotonic() - start < 5


def test_every_connection_of_a_route_tries_all_addresses(
    answering: int, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, silent, "127.0.0.1")
    connection = Route.to(f"http://hub.invalid:{answering}/", {}).connection(10)
    connection.connect()
    assert connection.sock is not None
    assert connection.sock.getpeername()[0] == "127.0.0.1"
    connection.close()


def test_only_silent_addresses_end_at_the_timeout(
    answering: int, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, silent)
    with pytest.raises(TimeoutError):
        happy_eyeballs.connect(("hub.invalid", answering), timeout=0.3)


def test_an_address_that_refuses_is_followed_at_once_by_the_next(
    answering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "127.0.0.3", "127.0.0.1")
    with happy_eyeballs.connect(("hub.invalid", answering), timeout=10) as connected:
        assert connected.getpeername()[0] == "127.0.0.1"
    resolve_to(monkeypatch, "127.0.0.3", "127.0.0.4")
    with pytest.raises(ConnectionRefusedError):
        happy_eyeballs.connect(("hub.invalid", answering), timeout=10)
