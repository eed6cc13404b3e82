"""A stand-in for ModelScope: the two routes that its public client reads a model with, for the models of a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROUTE = re.compile(r"/api/v1/models/([^/]+/[^/]+)/(repo/files|repo)")


@dataclass
class StandIn:
    """How it behaves, what it was asked, and its address."""

    folder: Path
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # of entries in the listing, by path
    left_out: tuple[str, ...] = ()
    ranges: bool = True
    listing: bytes = b""  # instead of its own
    status: int = 200
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def entries(self, model: str) -> list[dict[str, Any]]:
        """Return the listing's files, folders included."""
        root = self.folder / model
        found: list[dict[str, Any]] = []
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if name in self.left_out:
                continue
            if path.is_dir():
                found.append({"Path": name, "Type": "tree", "Size": 0, "Sha256": ""})
                continue
            content = path.read_bytes()
            one = {"Path": name, "Name": path.name, "Type": "blob", "Size": len(content)}
            found.append({**one, "Sha256": hashlib.sha256(content).hexdigest(), **self.changes.get(name, {})})
        return found


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.stand_in.requests.append(self.path)
        route = ROUTE.fullmatch(parts.path)
        if not route or query.get("Revision") != "master":
            self._send(404, json.dumps({"Code": 10010205001, "Success": False, "Message": "no"}).encode())
        elif route[2] == "repo/files":
            files = {"Code": 200, "Success": True, "Data": {"Files": self.stand_in.entries(route[1])}}
            self._send(self.stand_in.status, self.stand_in.listing or json.dumps(files).encode())
        else:
            self._send_file(self.stand_in.folder / route[1] / query["FilePath"])

    def _send_file(self, path: Path) -> None:
        content, wanted = path.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        if not wanted or not self.stand_in.ranges:
            self._send(200, content)
            return
        first, last = int(wanted[1]), int(wanted[2])
        self._send(206, content[first : last + 1], f"bytes {first}-{last}/{len(content)}")

    def _send(self, status: int, content: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)


@contextlib.contextmanager
def modelscope(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve until the block ends."""
    handler = type("BoundHandler", (_Handler,), {"stand_in": stand_in})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield stand_in
        server.shutdown()
        thread.join(5)
