"""A served Hub with faults: what networks, proxies and overloaded servers really do.

A fault names the requests that it meets (`where`, `match`), how many of them (`skip`, `times`) and what goes
wrong. Byte positions count from the start of the file, for whole reads and for ranges alike.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from launch.hub_server import HubHandler, HubServer
from launch.hub_server import serve as serve_hub
from launch.hub_server.catalog import Catalog
from launch.hub_server.file_hashes import FileHashes
from launch.hub_server.repository import Repository, ServedModel
from launch.hub_server.routes import Answer, Request, Slice

HASHES = FileHashes()  # of the folders that many tests serve
KINDS = (
    "status",  # answer `status` with `headers` and `body`
    "reset",  # send up to byte `at`, then reset the connection
    "close",  # announce the whole length, close normally at byte `at`
    "flip",  # send the byte at `at` with its lowest bit inverted
    "stall",  # send up to byte `at`, then nothing for `seconds`
    "trickle",  # `rate` bytes per second
    "whole",  # ignore Range: answer 200 with the whole file
    "redirect",  # answer 302 to `location`
    "mute",  # take the request and send nothing for `seconds`
    "drip",  # send a head that never ends, one byte at a time, for `seconds`
    "before",  # send `body` as it is, then the answer
    "raw",  # send `body` as it is instead of the answer, then close
    "heads",  # answer with `headers` instead of those of the same name
    "cap",  # answer a range with its first `rate` bytes, with the right Content-Range
)
ROUTES = (
    ("whoami", re.compile(r"/api/whoami-v2()")),
    ("tree", re.compile(r"/api/models/.+/tree/.+()")),
    ("info", re.compile(r"/api/models/.+()")),
    ("content", re.compile(r"/storage/[^/]+/[^/]+/[0-9a-f]{64}/(.+)")),
    ("resolve", re.compile(r"/[^/]+/[^/]+/resolve/[^/]+/(.+)")),
    ("any", re.compile(r".*()")),
)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, on requests of one route for the files that match."""

    kind: str
    where: str = "content"
    match: str = "*"
    times: int = 1 << 30
    skip: int = 0
    at: int = 0
    status: int = 503
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    location: str = ""
    seconds: float = 3600.0
    rate: int = 1024

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.where not in (name for name, _ in ROUTES):
            raise ValueError(f"no such fault: {self.kind} at {self.where}")

    def meets(self, request: Request, body: bytes | Slice) -> bool:
        """Whether a request is one of those that the fault is for."""
        route, file = next((name, m[1]) for name, pattern in ROUTES if (m := pattern.fullmatch(request.path)))
        first, last = (body.first, body.last) if isinstance(body, Slice) else (0, 0)
        # A fault at a byte meets only the request for a range with that byte.
        reached = self.kind not in ("reset", "close", "flip", "stall") or first <= self.at < max(
            last, first + 1
        )
        return reached and self.where in (route, "any") and fnmatch(file, self.match)


@dataclass
class Script:
    """The faults still to come, in order; safe to use from many threads."""

    faults: tuple[Fault, ...] = ()
    _met: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: Request, body: bytes | Slice) -> Fault | None:
        """Return the fault for this request, if there is one."""
        with self._lock:
            for number, fault in enumerate(self.faults):
                if not fault.meets(request, body):
                    continue
                met = self._met[number] = self._met.get(number, 0) + 1
                if fault.skip < met <= fault.skip + fault.times:
                    return fault
        return None


class FaultyHandler(HubHandler):
    """Answers with the faults of a script, and records the requests."""

    script: Script
    requests: list[Request]
    fault: Fault | None = None

    def respond(self, request: Request, answer: Answer) -> None:
        self.requests.append(request)
        self.fault = self.script.next(request, answer.body)
        if self.fault is None:
            super().respond(request, answer)
        elif send_first(self.connection, self.fault):
            self.close_connection = True
        else:
            super().respond(request, changed(answer, self.fault))

    def send_body(self, body: bytes | Slice) -> None:
        if self.fault is None or isinstance(body, bytes):
            super().send_body(body)
        elif self.fault.kind == "trickle":
            trickle(self.connection, body, self.fault)
        elif self.fault.kind in ("reset", "close", "flip", "stall"):
            self.break_body(body, self.fault)
        else:
            super().send_body(body)

    def break_body(self, body: Slice, fault: Fault) -> None:
        """Send the body up to the fault, and what the fault does then."""
        super().send_body(replace(body, last=fault.at))
        if fault.kind == "flip":
            with body.at.open("rb") as stream:
                stream.seek(fault.at)
                self.connection.sendall(bytes([stream.read(1)[0] ^ 1]))
            super().send_body(replace(body, first=fault.at + 1))
            return
        self.close_connection = True
        if fault.kind == "stall":
            self.connection.settimeout(fault.seconds)
            with contextlib.suppress(OSError):
                self.connection.recv(1)
        if fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_WR) if fault.kind == "close" else self.connection.close()


def changed(answer: Answer, fault: Fault) -> Answer:
    """Return the answer with the faults of its head."""
    body = answer.body
    if fault.kind == "status":
        return Answer(fault.status, dict(fault.headers), fault.body)
    if fault.kind in ("trickle", "heads"):
        return replace(answer, headers={**answer.headers, **dict(fault.headers)})
    if fault.kind == "redirect":
        return Answer(302, {"Location": fault.location})
    if fault.kind == "cap" and isinstance(body, Slice):
        last = min(body.last, body.first + fault.rate)
        content_range = f"bytes {body.first}-{last - 1}/{body.at.stat().st_size}"
        return Answer(206, {**answer.headers, "Content-Range": content_range}, replace(body, last=last))
    if fault.kind == "whole" and isinstance(body, Slice):
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Range"}
        return Answer(200, headers, Slice(body.at, 0, body.at.stat().st_size))
    return answer


def send_first(connection: socket.socket, fault: Fault) -> bool:
    """Send what a fault puts before an answer, or instead of it; return True if the connection must end."""
    if fault.kind in ("mute", "drip"):
        withhold(connection, fault)
        return True
    if fault.kind in ("before", "raw"):
        connection.sendall(fault.body)
    return fault.kind == "raw"


def withhold(connection: socket.socket, fault: Fault) -> None:
    """Keep a client waiting for the head of an answer, until it disconnects or the time is over."""
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


def trickle(connection: socket.socket, part: Slice, fault: Fault) -> None:
    """Send part of a file slowly."""
    step = max(1, fault.rate // 10)
    with part.at.open("rb") as stream:
        stream.seek(part.first)
        for _ in range(part.first, part.last, step):
            connection.sendall(stream.read(min(step, part.last - stream.tell())))
            time.sleep(step / fault.rate)


@dataclass
class RecordingServer(HubServer):
    """A running server with the requests that it received so far."""

    requests: list[Request] = field(default_factory=list)


@contextlib.contextmanager
def serve_models(
    find: Callable[[str], ServedModel | None],
    *,
    names: Callable[[], Iterable[str]] = tuple,
    faults: tuple[Fault, ...] = (),
    token: str = "",
    host: str = "127.0.0.1",
    own_storage: bool = True,
) -> Iterator[RecordingServer]:
    """Serve models with faults, until the block ends; large files from another port, as the Hub does, if asked."""
    requests: list[Request] = []
    handler = type("ScriptedHandler", (FaultyHandler,), {"script": Script(faults), "requests": requests})
    with ExitStack() as stack:
        url = ""
        if own_storage:
            url = stack.enter_context(serve_hub(find, handler=handler)).url + "/storage"
        options = {"host": host, "token": token, "names": names, "storage": url, "handler": handler}
        hub = stack.enter_context(serve_hub(find, **options))  # type: ignore[arg-type]
        yield RecordingServer(hub.api, requests)


def serve(
    find: Callable[[str], Repository | None], *, faults: tuple[Fault, ...] = (), token: str = ""
) -> AbstractContextManager[RecordingServer]:
    """Serve repositories with faults, until the block ends."""

    def find_model(name: str) -> ServedModel | None:
        repository = find(name)
        return ServedModel.single(repository) if repository else None

    return serve_models(find_model, faults=faults, token=token)


def serve_folder(
    folder: Path,
    *,
    faults: tuple[Fault, ...] = (),
    token: str = "",
    host: str = "127.0.0.1",
    own_storage: bool = True,
) -> AbstractContextManager[RecordingServer]:
    """Serve a folder or a cache with faults, until the block ends."""
    catalog = Catalog(folder, HASHES).read_all()
    options = {
        "names": catalog.names,
        "faults": faults,
        "token": token,
        "host": host,
        "own_storage": own_storage,
    }
    return serve_models(catalog.find, **options)  # type: ignore[arg-type]
