"""Apply the objects of a plan, show what would change, and remove them again."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from launch.deploy.client import Cluster, Object
from launch.render.kubernetes import MANAGED_BY, MANAGER, to_yaml

# The order of removal: first what would otherwise start pods again.
OWN_KINDS = ("LeaderWorkerSet", "Deployment", "Service")
SERVER_FIELDS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")


@dataclass(frozen=True)
class Change:
    """What happened to an object: created, changed, unchanged, removed."""

    kind: str
    name: str
    action: str


def apply(
    cluster: Cluster, documents: list[Object], dry_run: bool = False, force: bool = False
) -> Iterator[Change]:
    """Apply all objects, or none: the server checks each of them first.

    An object of another shape goes before the new one asks for its GPUs. If the server stops in the middle, the same
    call continues there.
    """
    for document in documents:
        cluster.apply(document, dry_run=True, force=force)
    for kind, name in _other_objects(cluster, documents):
        if not dry_run:
            cluster.delete(kind, name)
        yield Change(kind, name, "removed")
    for document in documents[1:] + documents[:1]:  # Services first, so that no pod starts before its address
        kind, name = document["kind"], document["metadata"]["name"]
        before = cluster.get(kind, name)
        after = cluster.apply(document, dry_run=dry_run, force=force)
        same = before is not None and _shown(before) == _shown(after)
        yield Change(kind, name, "unchanged" if same else "changed" if before else "created")


def _other_objects(cluster: Cluster, documents: list[Object]) -> list[tuple[str, str]]:
    """Return what an earlier plan of this name made and the new one does not have."""
    wanted = {(document["kind"], document["metadata"]["name"]) for document in documents}
    return [one for one in objects(cluster, documents[0]["metadata"]["name"]) if one not in wanted]


def objects(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    """Return kind and name of the objects that Slipway made for a server."""
    selector = f"{MANAGED_BY}={MANAGER},app.kubernetes.io/name={name}"
    return [(kind, item["metadata"]["name"]) for kind in OWN_KINDS for item in cluster.list(kind, selector)]


def delete(cluster: Cluster, name: str, dry_run: bool = False) -> Iterator[Change]:
    """Remove the objects of a server, and with them its pods."""
    for kind, own in objects(cluster, name):
        if dry_run or cluster.delete(kind, own):
            yield Change(kind, own, "removed")


def diff(cluster: Cluster, documents: list[Object], force: bool = False) -> str:
    """Return what an apply would change, as a unified diff of the objects on the server."""
    lines: list[str] = []
    for kind, name in _other_objects(cluster, documents):
        lines.append(f"{kind} {name} would be removed")
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        live, after = cluster.get(kind, name), cluster.apply(document, dry_run=True, force=force)
        old = _shown(live).splitlines() if live else []
        lines += difflib.unified_diff(
            old, _shown(after).splitlines(), f"{kind} {name}", f"{kind} {name}", lineterm=""
        )
    return "\n".join(lines)


def _shown(found: Object) -> str:
    """Return an object as YAML without what the server adds at every write."""
    meta = {key: value for key, value in found["metadata"].items() if key not in SERVER_FIELDS}
    body = {
        key: value for key, value in found.items() if key not in ("status", "metadata", "kind", "apiVersion")
    }
    return to_yaml([{"metadata": meta, **body}])
