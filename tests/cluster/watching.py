"""Watch a kind of objects, as a controller does, and count what the API server sends."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from launch.deploy.client import Cluster

WITHIN = 300  # seconds after which the server ends the watch


@dataclass
class Watch:
    """The events of one kind since `start`: how many, their bytes, and when each object was seen first."""

    cluster: Cluster
    kind: str
    events: int = 0
    received: int = 0  # bytes
    first_seen: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to watch in a thread of its own, which ends with the server or after WITHIN seconds."""
        version = self.cluster.request("GET", self.cluster.path(self.kind))["metadata"]["resourceVersion"]
        threading.Thread(target=self._read, args=(version,), daemon=True).start()

    def _read(self, version: str) -> None:
        query = [("watch", "1"), ("resourceVersion", version), ("timeoutSeconds", str(WITHIN))]
        words = self.cluster.api.param_serialize(
            "GET", f"/{self.cluster.path(self.kind)}", query_params=query, auth_settings=["BearerToken"]
        )
        method, url, headers, *_ = words
        pool: Any = self.cluster.api.rest_client.pool_manager
        with pool.request(method, url, headers=headers, preload_content=False) as answer:
            for line in answer:
                self._count(line)

    def _count(self, line: bytes) -> None:
        self.events, self.received = self.events + 1, self.received + len(line)
        self.first_seen.setdefault(json.loads(line)["object"]["metadata"]["name"], time.monotonic())

    def wait_for(self, objects: int, seconds: float = 30) -> float:
        """Return when the last of so many objects was seen first."""
        end = time.monotonic() + seconds
        while len(self.first_seen) < objects:
            assert time.monotonic() < end, f"{len(self.first_seen)} of {objects} objects seen"
            time.sleep(0.01)
        return max(self.first_seen.values())
