"""A port of this host's loopback that leads to a port of a pod, through the API server, for as long as a block runs.

The official client has a forward of its own. It loses the end of an answer if the connection ends with it, and never
closes its local side if the API server goes away. Here each connection of a client has one thread and one WebSocket.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from errors import Failed, SlipwayError
from launch.deploy import websocket
from launch.deploy.client import Cluster

if TYPE_CHECKING:
    from websocket import WebSocket

DATA, ERROR = 0, 1  # channels; the first message of each is the number of the port
CHUNK = 1 << 16
END = 5.0  # seconds for the threads to end


@dataclass
class Forward:
    """An open forward. `failure` is why a connection of it failed, or why the forward itself ended."""

    cluster: Cluster
    pod: str
    port: int
    listener: socket.socket
    failure: Failed | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The address on this host."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def start(self) -> None:
        """Accept connections."""
        self._run(self._accept)

    def close(self) -> None:
        """End all connections and give the port back."""
        self._closing.set()
        for one in (self.listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        for thread in self._threads:
            thread.join(END)
        self.listener.close()

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._run(partial(self._serve, connection))

    def _serve(self, connection: socket.socket) -> None:
        path = f"{self.cluster.path('Pod', self.pod)}/portforward"
        try:
            with websocket.connected(self.cluster, path, [("ports", str(self.port))]) as opened:
                self._relay(connection, opened)
        except websocket.ConnectionEnded as error:
            self._failed(websocket.unreachable(self.cluster, error))
        except SlipwayError as error:
            self._failed(Failed(error.what, why=error.why, fix=error.fix))
        except OSError:
            pass  # the client of the local side went away
        finally:
            self._open.discard(connection)
            connection.close()

    def _failed(self, failure: Failed) -> None:
        if not self._closing.is_set():
            self.failure = failure

    def _relay(self, connection: socket.socket, opened: WebSocket) -> None:
        """Copy bytes both ways until a side ends. What the pod sent before its end is passed on first."""
        numbered: set[int] = set()
        remote = websocket.socket_of(opened)
        while True:
            ready = [remote] if websocket.pending(opened) else websocket.readable(connection, remote)
            if remote in ready:
                if (message := websocket.receive(opened)) is None:
                    return
                self._receive(connection, *message, numbered)
            elif (
                connection in ready
            ):  # first everything that came: to send may end what the other side has closed
                if not (data := connection.recv(CHUNK)):
                    return
                self._send(connection, opened, data, numbered)

    def _send(self, connection: socket.socket, opened: WebSocket, data: bytes, numbered: set[int]) -> None:
        """Send bytes to the pod. If the other side has ended meanwhile, what it sent before is passed on."""
        try:
            websocket.send(opened, DATA, data)
        except websocket.ConnectionEnded:
            for channel, rest in websocket.messages(opened):
                self._receive(connection, channel, rest, numbered)
            raise

    def _receive(self, connection: socket.socket, channel: int, data: bytes, numbered: set[int]) -> None:
        if data and channel not in numbered:
            numbered.add(channel)
            data = data[2:]
        if channel == ERROR and data:
            raise _refused(self.pod, self.port, data.decode(errors="replace"))
        if channel == DATA:
            connection.sendall(data)


def _refused(pod: str, port: int, text: str) -> Failed:
    return Failed(
        f"port {port} of the pod {pod} does not answer",
        why=text.strip().rpartition(": ")[2][:300] or text.strip()[:300],
        fix="invoke deploy --status",
    )


@contextmanager
def forwarded(cluster: Cluster, pod: str, port: int) -> Iterator[Forward]:
    """Yield a forward to a pod, and close it in any case. If a connection of it failed, that is the error shown."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    forward = Forward(cluster, pod, port, listener)
    forward.start()
    try:
        yield forward
    except Failed as error:
        if forward.failure:
            raise forward.failure from error
        raise
    finally:
        forward.close()
