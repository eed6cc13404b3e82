"""A cluster in memory: objects by path, and the requests that were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launch.deploy.answers import Forbidden, NotFound
from launch.deploy.client import KINDS, Object


@dataclass
class FakeCluster:
    """What the tests need of `Cluster`. `forbidden` kinds may not be read."""

    objects: dict[str, list[Object]]
    logs: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Object] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    namespace: str = "models"
    host: str = "https://cluster.example"
    queries: list[Mapping[str, Any]] = field(default_factory=list)

    def list(self, kind: str, selector: str = "") -> list[Object]:
        return self.objects.get(kind, [])

    def get(self, kind: str, name: str) -> Object | None:
        if kind in self.forbidden:
            raise Forbidden("the cluster forbids the request", why=f"cannot get {kind}")
        found = (one for one in self.objects.get(kind, []) if one["metadata"]["name"] == name)
        return next(found, None)

    def path(self, kind: str, name: str = "") -> str:
        return f"{KINDS[kind][1]}/{name}"

    def request(self, method: str, path: str) -> Object:
        kind, _, name = path.rpartition("/")
        if kind.endswith("nodes") and "Node" in self.forbidden:
            raise Forbidden("the cluster forbids the request")
        found = self.nodes.get(name) if kind.endswith("nodes") else self.get("Pod", name)
        if found is None:
            raise NotFound("not found")
        return found

    def read(self, method: str, path: str, query: Mapping[str, Any]) -> bytes:
        self.queries.append(query)
        return self.logs[path.split("/")[-2]].encode()
