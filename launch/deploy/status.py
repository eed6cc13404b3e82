"""What a server on a cluster does, and why its pods do not run: from the workload to ReplicaSets, pods and events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import parse_yaml
from launch.deploy.client import Cluster, Object
from launch.render.kubernetes import api_service_name
from launch.spec.control_characters import one_line
from launch.spec.plan import FIRST_PORT

LONGEST = 300  # characters of a message
# Events of a pod that are of the past when its container runs.
OVERCOME = (
    "Failed",
    "BackOff",
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "InspectFailed",
)
WORKLOADS = ("Deployment", "LeaderWorkerSet")


@dataclass(frozen=True)
class Cause:
    """Why pods do not run. `final`: waiting does not help."""

    cause: str
    evidence: str
    fix: str
    final: bool
    pods: int = 1


@dataclass(frozen=True)
class Status:
    """A server on a cluster. `ready` and `desired` count replicas; None if the server does not exist."""

    name: str
    kind: str
    desired: int
    ready: int
    pods: tuple[tuple[str, str, str], ...]  # name, node, phase
    causes: tuple[Cause, ...]
    address: str

    @property
    def complete(self) -> bool:
        """Whether every replica is ready."""
        return self.desired > 0 and self.ready >= self.desired


def status(cluster: Cluster, name: str) -> Status | None:
    """Return the status of a server; None if it does not exist."""
    for kind in WORKLOADS:
        if workload := cluster.get(kind, name):
            return _status(cluster, name, {**workload, "kind": kind})
    return None


def _status(cluster: Cluster, name: str, workload: Object) -> Status:
    selector = f"app.kubernetes.io/name={name}"
    pods = cluster.list("Pod", selector)
    owners = [workload, *cluster.list("ReplicaSet", selector), *cluster.list("StatefulSet", selector)]
    desired, state = workload["spec"].get("replicas", 1), workload.get("status") or {}
    ready = state.get("readyReplicas", 0)
    generation = workload["metadata"].get("generation", 1)
    current = (
        state.get("observedGeneration", generation) >= generation
    )  # older LeaderWorkerSets do not tell it
    updated = state.get("updatedReplicas", 0 if workload["kind"] == "Deployment" else ready)
    service = cluster.get("Service", api_service_name(name))
    port = service["spec"]["ports"][0]["port"] if service else FIRST_PORT
    address = f"http://{api_service_name(name)}.{cluster.namespace}:{port}"
    rows = tuple(
        (pod["metadata"]["name"], pod["spec"].get("nodeName", ""), pod.get("status", {}).get("phase", ""))
        for pod in pods
    )
    ready = min(ready, updated)
    complete = current and ready >= desired
    found = () if complete else causes(owners, pods, cluster.list("Event"))
    return Status(name, workload["kind"], desired, ready if current else 0, rows, found, address)


@cache
def _rules() -> list[dict[str, Any]]:
    return list(parse_yaml(Path(__file__).with_name("status_rules.yaml").read_text())["rules"])


def causes(owners: Iterable[Object], pods: Iterable[Object], events: Iterable[Object]) -> tuple[Cause, ...]:
    """Return each cause once, with the number of pods that have it. Events of former objects do not count."""
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for subject, text in _complaints(list(owners), list(pods), list(events)):
        if rule := next((rule for rule in _rules() if re.search(rule["match"], text)), None):
            found.setdefault(rule["cause"], []).append((subject, text, rule))
    return tuple(
        Cause(
            cause,
            one_line(rows[0][1])[:LONGEST],
            rows[0][2]["fix"],
            rows[0][2]["final"],
            len({row[0] for row in rows}),
        )
        for cause, rows in found.items()
    )


def _complaints(owners: list[Object], pods: list[Object], events: list[Object]) -> Iterator[tuple[str, str]]:
    """Yield what is reported as `REASON: MESSAGE`, each with the name of its object: states first, then events."""
    living = [pod for pod in pods if not _ready(pod)]
    for pod in living:
        yield from ((pod["metadata"]["name"], text) for text in _states(pod.get("status") or {}))
    current = {one["metadata"]["uid"] for one in (*owners, *living)}
    placed = {pod["metadata"]["uid"] for pod in living if pod["spec"].get("nodeName")}
    running = {pod["metadata"]["uid"] for pod in living if _runs(pod)}
    newest = max((str(pod["metadata"].get("creationTimestamp", "")) for pod in pods), default="")
    for event in events:
        about = event["involvedObject"]
        old = (
            (about.get("uid") in placed and event["reason"] == "FailedScheduling")
            or (about.get("uid") in running and event["reason"] in OVERCOME)
            or (event["reason"] == "FailedCreate" and str(event.get("lastTimestamp") or "") < newest)
        )
        if event.get("type") == "Warning" and about.get("uid") in current and not old:
            yield about["name"], f"{event['reason']}: {event.get('message', '')}"


def _runs(pod: Object) -> bool:
    states = ((one.get("state") or {}) for one in pod.get("status", {}).get("containerStatuses") or ())
    return any(state.get("running") is not None for state in states)


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _states(state: Object) -> Iterator[str]:
    for condition in state.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"{condition.get('reason', '')}: {condition.get('message', '')}"
    if state.get("reason"):
        yield f"{state['reason']}: {state.get('message', '')}"
    for container in state.get("containerStatuses") or ():
        last = (container.get("lastState") or {}).get("terminated")
        now = [value for value in (container.get("state") or {}).values() if value]
        for part in (*([last] if last else []), *now):
            if part.get("reason"):
                yield f"{part['reason']}: {part.get('message', '')}"
