"""A stand-in for the API server: connections to a port or to a program of a pod, which a script answers."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from launch.deploy.client import Cluster

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Script = Callable[["Peer"], None]


class Peer:
    """One connection, after its handshake. `path` is what was asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb")
        lines = list(iter(self.stream.readline, b"\r\n"))
        self.path = lines[0].split()[1].decode()
        self.headers = {
            key.lower(): value.strip()
            for key, _, value in (line.decode().partition(":") for line in lines[1:])
        }

    def accept(self) -> None:
        key = self.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        protocol = self.headers["sec-websocket-protocol"]
        self.connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n".encode()
        )

    def send(self, channel: int, data: bytes) -> None:
        self._send(2, bytes((channel,)) + data)

    def close(self) -> None:
        """End as a server does that has sent everything."""
        self._send(8, struct.pack("!H", 1000))
        self.stream.read()  # a close with unread data would be a reset

    def _send(self, opcode: int, data: bytes) -> None:
        size = bytes((len(data),)) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
        self.connection.sendall(bytes((0x80 | opcode,)) + size + data)

    def receive(self) -> tuple[int, bytes]:
        """Return the channel and the data of the next message of the client."""
        size = self.stream.read(2)[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.stream.read(2))
        mask, data = self.stream.read(4), self.stream.read(size)
        plain = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
        return plain[0], plain[1:]


@contextmanager
def api_server(script: Script) -> Iterator[Cluster]:
    """Yield a cluster whose API server answers every connection by `script`."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, script), daemon=True)
    thread.start()
    try:
        yield cluster_at(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def cluster_at(url: str) -> Cluster:
    from kubernetes import client

    configuration: Any = client.Configuration(host=url, api_key={"authorization": "Bearer secret-token"})
    return Cluster(client.ApiClient(configuration), "models", url)


def _serve(listener: socket.socket, script: Script) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            script(Peer(connection))
