"""Check a pod against the Pod Security Standards, because a workload is accepted although its pods will be refused.

The API server reports that only as an event of a ReplicaSet. Levels: `privileged`, `baseline`, `restricted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import parse_yaml

LEVELS = ("privileged", "baseline", "restricted")
Spec = Mapping[str, Any]


def violations(pod: Spec, level: str) -> tuple[str, ...]:
    """Return what this level does not allow of the spec of a pod; () if the pod may run."""
    if level not in LEVELS[1:]:
        return ()
    found = list(_baseline(pod))
    return tuple(dict.fromkeys((*found, *_restricted(pod)) if level == "restricted" else found))


@cache
def _rules(level: str) -> dict[str, Any]:
    rules = parse_yaml(Path(__file__).with_name("pod_security.yaml").read_text())
    return dict(rules[level])


def _containers(pod: Spec) -> Iterator[Spec]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(key) or ()


def _baseline(pod: Spec) -> Iterator[str]:
    rules = _rules("baseline")
    yield from (f"{name}: true" for name in rules["host_namespaces"] if pod.get(name))
    for volume in pod.get("volumes") or ():
        if "hostPath" in volume:
            yield f"hostPath {volume['hostPath'].get('path', '')}"
    yield from _seccomp(pod, rules["seccomp"])
    for container in _containers(pod):
        context = container.get("securityContext") or {}
        if context.get("privileged"):
            yield "privileged: true"
        yield from _capabilities(context, rules["capabilities"])
        yield from (
            f"hostPort {port['hostPort']}" for port in container.get("ports") or () if port.get("hostPort")
        )


def _restricted(pod: Spec) -> Iterator[str]:
    rules, shared = _rules("restricted"), pod.get("securityContext") or {}
    for volume in pod.get("volumes") or ():
        yield from (f"volume type {kind}" for kind in volume if kind not in ("name", *rules["volumes"]))
    yield from _seccomp(pod, rules["seccomp"])
    for container in _containers(pod):
        context = {**shared, **(container.get("securityContext") or {})}
        if context.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation is not false"
        if context.get("runAsNonRoot") is not True:
            yield "runAsNonRoot is not true"
        if context.get("runAsUser") == 0:
            yield "runAsUser: 0"
        if "ALL" not in (context.get("capabilities") or {}).get("drop", ()):
            yield "capabilities: ALL is not dropped"
        yield from _capabilities(context, rules["capabilities"])


def _capabilities(context: Spec, allowed: list[str]) -> Iterator[str]:
    for name in (context.get("capabilities") or {}).get("add", ()):
        if name not in allowed:
            yield f"capability {name}"


def _seccomp(pod: Spec, allowed: list[str]) -> Iterator[str]:
    shared = pod.get("securityContext") or {}
    for container in _containers(pod):
        context = {**shared, **(container.get("securityContext") or {})}
        kind = (context.get("seccompProfile") or {}).get("type", "")
        if kind not in allowed:
            yield f"seccompProfile: {kind or 'not set'}"
