"""A connection through the API server to a port or to a program of a pod: a WebSocket whose messages have a channel."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from errors import Failed
from launch.deploy.answers import error_of
from launch.deploy.client import Cluster

if TYPE_CHECKING:
    from websocket import WebSocket

# Kubelets of all versions know this one. It has no half-closed connections.
PROTOCOL = "v4.channel.k8s.io"
TIMEOUT = 60  # seconds to connect
_NEVER = b""


class ConnectionEnded(Exception):
    """The connection to the API server broke off."""


@contextmanager
def connected(cluster: Cluster, path: str, query: Iterable[tuple[str, str]]) -> Iterator[WebSocket]:
    """Yield a connection to a path of the API, and close it. Raises Failed if the server refuses it."""
    opened = _open(cluster, path, query)
    try:
        yield opened
    finally:
        with suppress(OSError, ConnectionEnded):  # it may have no socket any more
            socket_of(opened).close()


def _open(cluster: Cluster, path: str, query: Iterable[tuple[str, str]]) -> WebSocket:
    import websocket
    from kubernetes.stream import ws_client

    client: Any = ws_client  # it has no types
    words = cluster.api.param_serialize("GET", f"/{path}", header_params={}, auth_settings=["BearerToken"])
    # The client reads these two headers alone, in lower case.
    headers = {"sec-websocket-protocol": PROTOCOL}
    headers |= {name.lower(): value for name, value in words[2].items() if name.lower() == "authorization"}
    websocket.setdefaulttimeout(TIMEOUT)
    try:
        url = client.get_websocket_url(words[1], list(query))
        opened: WebSocket = client.create_websocket(cluster.api.configuration, url, headers)
    except websocket.WebSocketBadStatusException as error:
        raise error_of(error.status_code, error.resp_body or b"", cluster.host, cluster.namespace) from None
    except (websocket.WebSocketException, OSError) as error:
        raise unreachable(cluster, error) from None
    opened.settimeout(None)  # a stream may say nothing for long; TCP notices a server that is gone
    return opened


def unreachable(cluster: Cluster, error: Exception) -> Failed:
    """Return the error for an API server that does not answer, or that went away in the middle."""
    fix = "repeat the command once the API server is back; servers go on without it"
    return Failed(f"the connection to the cluster at {cluster.host} ended", why=_reason(error), fix=fix)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]


def socket_of(opened: WebSocket) -> socket.socket:
    """Return the socket below a connection. Raises ConnectionEnded if it has none any more."""
    if opened.sock is None:
        raise ConnectionEnded("it was closed")
    return opened.sock


def pending(opened: WebSocket) -> bool:
    """Whether data was decrypted already, of which the socket tells nothing."""
    return isinstance(opened.sock, ssl.SSLSocket) and opened.sock.pending() > 0


def receive(opened: WebSocket) -> tuple[int, bytes] | None:
    """Return the channel and the bytes of the next message; None at the end. Raises ConnectionEnded."""
    import websocket

    try:
        opcode, frame = opened.recv_data_frame(True)
    except (websocket.WebSocketException, OSError) as error:
        raise ConnectionEnded(_reason(error)) from error
    if opcode == websocket.ABNF.OPCODE_CLOSE:
        return None
    if opcode not in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) or not frame.data:
        return 0, _NEVER  # a ping, which the client has answered
    return frame.data[0], bytes(frame.data[1:])


def messages(opened: WebSocket) -> Iterator[tuple[int, bytes]]:
    """Yield all messages until the end. Raises ConnectionEnded if it breaks off."""
    while (message := receive(opened)) is not None:
        if message[1]:
            yield message


def send(opened: WebSocket, channel: int, data: bytes) -> None:
    """Send bytes on a channel. Raises ConnectionEnded."""
    import websocket

    try:
        opened.send_binary(bytes((channel,)) + data)
    except (websocket.WebSocketException, OSError) as error:
        raise ConnectionEnded(_reason(error)) from error


def readable(*sockets: socket.socket) -> list[socket.socket]:
    """Wait until one of the sockets has data, and return those that have. More than 1,024 may be open."""
    poll = select.poll()
    by_number = {one.fileno(): one for one in sockets}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll()]
