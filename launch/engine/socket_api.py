"""Ask an engine for one image over its socket, without the SDK, whose import takes a third of the time of a plan."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

SECONDS = 60.0
UNIX = "unix://"


@dataclass(frozen=True)
class EngineSocket:
    """The socket of an engine that answers."""

    path: str

    def image(self, reference: str) -> dict[str, Any] | None:
        """Return what the engine knows of an image; None if it does not have it, or cannot have this name."""
        status, body = _get(self.path, f"/images/{quote(reference, safe='/:@')}/json")
        data = json.loads(body) if status == 200 else None
        return data if isinstance(data, dict) else None


def answering(url: str) -> EngineSocket | None:
    """Return the socket of this URL if an engine answers there; None for other URLs, which the SDK understands."""
    path = url.removeprefix(UNIX)
    if not url.startswith(UNIX):
        return None
    try:
        status, _ = _get(path, "/_ping")
    except (OSError, HTTPException):
        return None
    return EngineSocket(path) if status == 200 else None


def _get(path: str, target: str) -> tuple[int, bytes]:
    """Return status and content. Raises OSError or HTTPException."""
    connection = HTTPConnection("localhost", timeout=SECONDS)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(SECONDS)
        connection.sock.connect(path)
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
