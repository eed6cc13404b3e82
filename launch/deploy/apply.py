"""Apply the objects of a plan, show what would change, and remove them again."""

from __future__ import annotations

import difflib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from errors import Failed
from launch.deploy.client import Cluster, Object
from launch.deploy.fetch_job import has_failed, is_complete
from launch.deploy.object_labels import DASHBOARD, TEMPLATE
from launch.render.kubernetes import MANAGED_BY, MANAGER, to_yaml

# The order of removal: first what would otherwise start pods again.
OWN_KINDS = (
    "LeaderWorkerSet",
    "Deployment",
    "Job",
    "Service",
    "ServiceMonitor",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ConfigMap",
)
CLAIM = "PersistentVolumeClaim"
# They cannot be changed. Weights that were fetched stay, and a Job that has ended is not run again.
MADE_ONCE = (CLAIM, "Job")
GONE = 60  # seconds for the removal of a Job that failed
SERVER_FIELDS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")


@dataclass(frozen=True)
class Change:
    """What happened to an object: created, changed, unchanged, removed, started again."""

    kind: str
    name: str
    action: str


def apply(
    cluster: Cluster,
    documents: list[Object],
    dry_run: bool = False,
    force: bool = False,
    before_workload: Callable[[], None] = lambda: None,
) -> Iterator[Change]:
    """Apply all objects, or none: the server checks each of them first.

    The workload, which is the first, comes last, so that no pod starts before what it needs; `before_workload` may wait
    for that. An object of another shape goes before the new one asks for its GPUs. If the server stops in the middle,
    the same call continues there.
    """
    for document in documents:
        if not _is_kept(cluster, document) and not _is_made_again(cluster, document):
            cluster.apply(document, dry_run=True, force=force)
    for document in documents[1:]:
        yield _applied(cluster, document, dry_run, force)
    if not dry_run:
        before_workload()
    for kind, name in _other_objects(cluster, documents):
        if not dry_run:
            cluster.delete(kind, name)
        yield Change(kind, name, "removed")
    yield _applied(cluster, documents[0], dry_run, force)


def _applied(cluster: Cluster, document: Object, dry_run: bool, force: bool) -> Change:
    """Apply one object and return what happened."""
    kind, name = document["kind"], document["metadata"]["name"]
    if _is_kept(cluster, document):
        return Change(kind, name, "unchanged")
    before = cluster.get(kind, name)
    if _is_made_again(cluster, document):
        if not dry_run:
            _remove(cluster, kind, name)
            cluster.apply(document, force=force)
        return Change(kind, name, "started again")
    after = cluster.apply(document, dry_run=dry_run, force=force)
    same = before is not None and _shown(before) == _shown(after)
    return Change(kind, name, "unchanged" if same else "changed" if before else "created")


def _is_kept(cluster: Cluster, document: Object) -> bool:
    """Return whether an object stays as it is: a claim, a Job that has ended well, or one that runs as it would now."""
    if document["kind"] not in MADE_ONCE:
        return False
    live = cluster.get(document["kind"], document["metadata"]["name"])
    if live is None or document["kind"] != "Job":
        return live is not None
    return is_complete(live) or (not has_failed(live) and _template(live) == _template(document))


def _is_made_again(cluster: Cluster, document: Object) -> bool:
    """Return whether an object has to go before it is made: a Job cannot be changed."""
    live = cluster.get("Job", document["metadata"]["name"]) if document["kind"] == "Job" else None
    return live is not None and not _is_kept(cluster, document)


def _template(job: Object) -> str:
    return str((job["metadata"].get("annotations") or {}).get(TEMPLATE, ""))


def _remove(cluster: Cluster, kind: str, name: str) -> None:
    """Delete an object and wait until its name is free. Raises Failed."""
    cluster.delete(kind, name)
    end = time.monotonic() + GONE
    while cluster.get(kind, name):
        if time.monotonic() >= end:
            raise Failed(f"{kind} '{name}' is still there after {GONE} s", fix="repeat the command")
        time.sleep(0.5)


def _other_objects(cluster: Cluster, documents: list[Object]) -> list[tuple[str, str]]:
    """Return what an earlier plan of this name made and the new one does not have."""
    wanted = {(document["kind"], document["metadata"]["name"]) for document in documents}
    return [one for one in objects(cluster, documents[0]["metadata"]["name"]) if one not in wanted]


def objects(cluster: Cluster, name: str, kinds: tuple[str, ...] = OWN_KINDS) -> list[tuple[str, str]]:
    """Return kind and name of the objects that Slipway made for a server; its claim only if `kinds` names it."""
    selector = f"{MANAGED_BY}={MANAGER},app.kubernetes.io/name={name}"
    return [
        (kind, item["metadata"]["name"])
        for kind in kinds
        for item in cluster.list(kind, selector)
        if DASHBOARD
        not in (item["metadata"].get("labels") or {})  # of `plan --monitoring`, applied by the user
    ]


def delete(cluster: Cluster, name: str, dry_run: bool = False, weights: bool = False) -> Iterator[Change]:
    """Remove the objects of a server, and with them its pods; the claim that Slipway made only with `weights`."""
    for kind, own in objects(cluster, name, (*OWN_KINDS, *([CLAIM] if weights else []))):
        if dry_run or cluster.delete(kind, own):
            yield Change(kind, own, "removed")


def diff(cluster: Cluster, documents: list[Object], force: bool = False) -> str:
    """Return what an apply would change, as a unified diff of the objects on the server."""
    lines: list[str] = []
    for kind, name in _other_objects(cluster, documents):
        lines.append(f"{kind} {name} would be removed")
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        if _is_kept(cluster, document):
            continue
        if _is_made_again(cluster, document):
            lines.append(f"{kind} {name} would be started again")
            continue
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
    if "binaryData" in body:  # it is not for readers
        body["binaryData"] = {name: _short(str(text)) for name, text in body["binaryData"].items()}
    return to_yaml([{"metadata": meta, **body}])


def _short(text: str) -> str:
    return f"{len(text)} characters, sha256:{hashlib.sha256(text.encode()).hexdigest()}"
