"""A port of loopback that leads to a pod: bytes both ways, and one clear error for each way in which it ends."""

from __future__ import annotations

import socket
import threading

import pytest

from errors import Failed
from launch.deploy.port_forward import forwarded
from launch.http.client import request
from tests.cluster.api_server import Peer, api_server, cluster_at

PORT = (8000).to_bytes(2, "little")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def numbered(peer: Peer) -> None:
    """Begin as a kubelet does: each channel names its port first."""
    peer.accept()
    peer.send(0, PORT)
    peer.send(1, PORT)


def answers(peer: Peer) -> None:
    numbered(peer)
    peer.receive()
    peer.send(0, ANSWER)
    peer.close()


def ask(url: str) -> bytes:
    return request("GET", f"{url}/v1/models", direct=True, timeout=10).read()


def test_an_answer_comes_through_whole_although_the_connection_ends_with_it() -> None:
    with api_server(answers) as cluster, forwarded(cluster, "m2-1", 8000) as forward:
        assert forward.url.startswith("http://127.0.0.1:")
        assert [ask(forward.url) for _ in range(3)] == [b"hello"] * 3
        assert forward.failure is None


def test_the_pod_the_port_and_the_login_are_in_the_request() -> None:
    seen: list[tuple[str, str, str]] = []

    def script(peer: Peer) -> None:
        seen.append((peer.path, peer.headers["authorization"], peer.headers["sec-websocket-protocol"]))
        answers(peer)

    with api_server(script) as cluster, forwarded(cluster, "m2-1", 8000) as forward:
        ask(forward.url)
    path = "/api/v1/namespaces/models/pods/m2-1/portforward?ports=8000"
    assert seen == [(path, "Bearer secret-token", "v4.channel.k8s.io")]


def test_a_port_that_refuses_is_named_with_the_reason() -> None:
    def script(peer: Peer) -> None:
        numbered(peer)
        peer.send(1, b"error forwarding port 8000 to pod x: exit status 1: connect: Connection refused")
        peer.close()

    with (
        pytest.raises(Failed) as failed,
        api_server(script) as cluster,
        forwarded(cluster, "m2-1", 8000) as forward,
    ):
        ask(forward.url)
    assert failed.value.what == "port 8000 of the pod m2-1 does not answer"
    assert failed.value.why == "Connection refused"


def test_a_user_without_the_right_reads_what_the_cluster_says() -> None:
    def script(peer: Peer) -> None:
        body = b'{"message": "pods \\"m2-1\\" is forbidden: User \\"guest\\" cannot create pods/portforward"}'
        head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.connection.sendall(head.encode() + body)

    with (
        pytest.raises(Failed, match="the cluster forbids the request") as failed,
        api_server(script) as cluster,
        forwarded(cluster, "m2-1", 8000) as forward,
    ):
        ask(forward.url)
    assert "cannot create pods/portforward" in failed.value.why


def test_an_api_server_that_goes_away_in_an_answer_is_one_clear_line() -> None:
    def script(peer: Peer) -> None:
        numbered(peer)
        peer.receive()
        peer.send(0, ANSWER[:-2])  # and no end

    with (
        pytest.raises(Failed, match="the connection to the cluster at") as failed,
        api_server(script) as cluster,
        forwarded(cluster, "m2-1", 8000) as forward,
    ):
        ask(forward.url)
    assert "\n" not in failed.value.why


def test_an_api_server_that_does_not_listen_is_one_clear_line() -> None:
    with (
        pytest.raises(Failed, match="the connection to the cluster at") as failed,
        forwarded(cluster_at("http://127.0.0.1:9"), "m2-1", 8000) as forward,
    ):
        ask(forward.url)
    assert failed.value.why == "Connection refused"


def test_the_port_and_the_threads_are_gone_after_an_error() -> None:
    before, asked = threading.active_count(), threading.Event()

    def script(peer: Peer) -> None:
        numbered(peer)
        peer.receive()
        asked.set()
        peer.stream.read()  # until the other side closes

    with api_server(script) as cluster:
        with pytest.raises(KeyboardInterrupt), forwarded(cluster, "m2-1", 8000) as forward:
            address = forward.listener.getsockname()
            client = socket.create_connection(address)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert asked.wait(10)
            raise KeyboardInterrupt
        assert client.recv(10) == b""
        client.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    assert threading.active_count() == before
