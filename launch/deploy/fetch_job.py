"""Follow the Job that fetches the weights: its phase, its progress, and why it fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from errors import Failed
from launch.deploy.client import Cluster, Object
from launch.deploy.status import Cause, causes
from launch.spec.control_characters import one_line

EVERY = 2.0  # seconds between two looks at the cluster
SETTLED = 10.0  # seconds that a final cause, or a cluster that does not answer, must last
PENDING = 600  # seconds in which its pod must start; a large image takes minutes
STARTS, NO_NODE, PREPARES, FETCHES, DONE, FAILED = (
    "waits for its pod",
    "waits for a node",
    "waits for the volume and the image",
    "fetches",
    "done",
    "failed",
)
LONGEST = 300  # characters of a message


@dataclass(frozen=True)
class FetchStatus:
    """What a Job does. `done` and `total` are bytes; `error` is what its last pod ended with."""

    name: str
    phase: str
    done: int = 0
    total: int = 0
    note: str = ""
    error: Failed | None = None
    causes: tuple[Cause, ...] = ()

    @property
    def why(self) -> str:
        """Why it does not go on; "" if it does."""
        return self.error.what if self.error else self.causes[0].cause if self.causes else ""

    @property
    def fix(self) -> str:
        """What to do about it."""
        return self.error.fix if self.error else self.causes[0].fix if self.causes else ""

    @property
    def summary(self) -> str:
        """The phase, with the progress or what it waits for."""
        cause = self.causes[0].cause if self.causes else ""
        trouble = self.error.what if self.error else ""
        if self.error and self.phase != FAILED:
            trouble = f"tries again after: {trouble}"
        return "; ".join(part for part in (self.phase, self.note, cause or trouble) if part)


def has_failed(job: Object) -> bool:
    """Return whether a Job has given up."""
    return _condition(job, "Failed") is not None


def is_complete(job: Object) -> bool:
    """Return whether a Job has fetched its weights."""
    return _condition(job, "Complete") is not None


def fetch_status(cluster: Cluster, name: str, claim: str) -> FetchStatus:
    """Return what a Job does now. Raises Failed if it does not exist."""
    job = cluster.get("Job", name)
    if job is None:
        raise Failed(f"Job '{name}' was removed while it fetched the weights", fix="repeat the command")
    if _condition(job, "Complete"):
        return FetchStatus(name, DONE)
    pods = sorted(cluster.list("Pod", f"job-name={name}"), key=_age)
    owners = [one for one in ({**job, "kind": "Job"}, cluster.get("PersistentVolumeClaim", claim)) if one]
    found = causes(owners, pods[-1:], cluster.list("Event"))
    error = next((error for pod in reversed(pods) if (error := _error(pod))), None)
    if has_failed(job):
        return FetchStatus(name, FAILED, error=error, causes=found)
    phase, values = _progress(cluster, pods)
    done, total = _count(values.get("done")), _count(values.get("total"))
    note = one_line(str(values.get("note", "")))[:LONGEST]
    return FetchStatus(name, phase, done, total, note, error, found)


def fetch_of(cluster: Cluster, server: str) -> FetchStatus | None:
    """Return what the newest Job of a server does; None if it has none."""
    jobs = cluster.list("Job", f"app.kubernetes.io/name={server}")
    if not jobs:
        return None
    job = max(jobs, key=_age)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    claims = (one.get("persistentVolumeClaim") or {} for one in volumes)
    claim = next((str(one["claimName"]) for one in claims if one), "")
    return fetch_status(cluster, job["metadata"]["name"], claim)


def follow(
    cluster: Cluster, name: str, claim: str, on_status: Callable[[FetchStatus], None], pending: float = 0
) -> None:
    """Wait until a Job has fetched the weights. Raises Failed with the cause if it cannot.

    Bytes may take hours, and the Job itself gives up if none arrive. `pending` limits the time without a running pod.
    """
    limit = pending or PENDING
    moved, blocked, lost = time.monotonic(), 0.0, 0.0
    while True:
        try:
            found = fetch_status(cluster, name, claim)
            lost = 0.0
        except Failed:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > SETTLED:
                raise
            time.sleep(EVERY)
            continue
        on_status(found)
        if found.phase == DONE:
            return
        final = [cause for cause in found.causes if cause.final and found.phase != FETCHES]
        blocked = (blocked or time.monotonic()) if final else 0.0
        if found.phase == FAILED or (blocked and time.monotonic() - blocked >= SETTLED):
            raise _failure(found, final or list(found.causes))
        moved = time.monotonic() if found.phase == FETCHES else moved
        if time.monotonic() - moved >= limit:
            raise _late(found, limit)
        time.sleep(EVERY)


def _failure(found: FetchStatus, why: list[Cause]) -> Failed:
    """Return the error that the fetch itself reported, else what the cluster reports."""
    what = "the weights were not fetched"
    if found.error:
        return Failed(f"{what}: {found.error.what}", why=found.error.why, fix=found.error.fix)
    if why:
        return Failed(f"{what}: {why[0].cause}", why=why[0].evidence, fix=why[0].fix)
    return Failed(f"{what}: Job '{found.name}' gave up", fix=f"kubectl logs job/{found.name}")


def _late(found: FetchStatus, limit: float) -> Failed:
    what = f"Job '{found.name}' {found.phase} for {limit:.0f} s"
    if not found.causes:
        return Failed(what, fix=f"kubectl describe job/{found.name}")
    cause = found.causes[0]
    return Failed(f"{what}: {cause.cause}", why=cause.evidence, fix=cause.fix)


def _condition(job: Object, kind: str) -> Object | None:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)


def _age(one: Object) -> str:
    return str(one["metadata"].get("creationTimestamp", ""))


def _progress(cluster: Cluster, pods: list[Object]) -> tuple[str, dict[str, Any]]:
    """Return the phase of the newest pod, and the last line of its log."""
    if not pods:
        return STARTS, {}
    pod = pods[-1]
    phase = (pod.get("status") or {}).get("phase")
    if phase == "Pending":
        return (PREPARES if pod["spec"].get("nodeName") else NO_NODE), {}
    if phase != "Running":
        return STARTS, {}
    return FETCHES, _last_line(cluster, pod["metadata"]["name"])


def _last_line(cluster: Cluster, pod: str) -> dict[str, Any]:
    """Return the values of the last line; {} if this user may not read logs, or the node does not answer."""
    try:
        text = cluster.read("GET", f"{cluster.path('Pod', pod)}/log", {"tailLines": 1})
    except Failed:
        return {}
    return _values(text.decode(errors="replace"))


def _error(pod: Object) -> Failed | None:
    """Return the error that a pod ended with."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return _reported(str(ended.get("message") or ""))
    return None


def _reported(message: str) -> Failed | None:
    """Return the error in a termination message; any other text is shown as it is."""
    lines = message.strip().splitlines()
    values = _values(lines[-1]) if lines else {}
    if "error" in values:
        what, why, fix = (one_line(str(values.get(key, "")))[:LONGEST] for key in ("error", "why", "fix"))
        size = "use --storage-size with more and another --name, or a larger claim with --weights-claim"
        return Failed(what, why=why, fix=size if "--cache" in fix else fix)
    return Failed("its program ended", why=one_line(lines[-1])[:LONGEST]) if lines else None


def _values(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
