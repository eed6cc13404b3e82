"""How an answer leaves: straight from the file to the socket, or with the fault that a test asked for."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import replace

from launch.hub_server.faults import Fault
from launch.hub_server.routes import Answer, Slice


def send_slice(connection: socket.socket, part: Slice) -> None:
    """Send part of a file."""
    with part.at.open("rb") as stream:
        if part.last > part.first:
            connection.sendfile(stream, part.first, part.last - part.first)


def changed(answer: Answer, fault: Fault) -> Answer:
    """The answer with the faults that show in its head."""
    if fault.kind == "status":
        return Answer(fault.status, answer.where, answer.name, dict(fault.headers), fault.body)
    if fault.kind in ("trickle", "heads"):
        return replace(answer, headers={**answer.headers, **dict(fault.headers)})
    if fault.kind == "cap" and isinstance(answer.body, Slice):
        return _capped(answer, answer.body, fault.rate)
    if fault.kind == "redirect":
        return Answer(302, answer.where, answer.name, {"Location": fault.location})
    if fault.kind == "whole" and isinstance(answer.body, Slice):
        headers = {k: v for k, v in answer.headers.items() if k != "Content-Range"}
        whole = Slice(answer.body.at, 0, answer.body.at.stat().st_size)
        return Answer(200, answer.where, answer.name, headers, whole)
    return answer


def _capped(answer: Answer, part: Slice, most: int) -> Answer:
    last = min(part.last, part.first + most)
    said = {"Content-Range": f"bytes {part.first}-{last - 1}/{part.at.stat().st_size}"}
    return replace(answer, status=206, headers={**answer.headers, **said}, body=replace(part, last=last))


def send_faulty(connection: socket.socket, part: Slice, fault: Fault) -> bool:
    """Send the body with the faults that show in it; True when the connection must end."""
    if fault.kind == "trickle":
        return _trickle(connection, part, fault)
    if fault.kind not in ("reset", "close", "flip", "stall"):
        send_slice(connection, part)
        return False
    send_slice(connection, Slice(part.at, part.first, fault.at))
    if fault.kind == "flip":
        with part.at.open("rb") as stream:
            stream.seek(fault.at)
            connection.sendall(bytes([stream.read(1)[0] ^ 1]))
        send_slice(connection, Slice(part.at, fault.at + 1, part.last))
        return False
    if fault.kind == "stall":
        connection.settimeout(fault.seconds)
        with contextlib.suppress(OSError):
            connection.recv(1)
    if fault.kind == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_WR) if fault.kind == "close" else connection.close()
    return True


def say_first(connection: socket.socket, fault: Fault | None) -> bool:
    """What a fault puts before an answer, or in its place; True when the connection must end."""
    if fault is None or fault.kind not in ("mute", "drip", "before", "raw"):
        return False
    if fault.kind in ("mute", "drip"):
        return withhold(connection, fault)
    connection.sendall(fault.body)
    return fault.kind == "raw"


def withhold(connection: socket.socket, fault: Fault) -> bool:
    """Keep a client waiting for the head of an answer, until it goes or the time is over."""
    until = time.monotonic() + fault.seconds
    connection.settimeout(0.05)
    with contextlib.suppress(OSError):
        if fault.kind == "drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1 << 16):
                    break
            if fault.kind == "drip":
                connection.sendall(b".")
    return True


def _trickle(connection: socket.socket, part: Slice, fault: Fault) -> bool:
    step = max(1, fault.rate // 10)
    with part.at.open("rb") as stream:
        stream.seek(part.first)
        for _ in range(part.first, part.last, step):
            connection.sendall(stream.read(min(step, part.last - stream.tell())))
            time.sleep(step / fault.rate)
    return False
