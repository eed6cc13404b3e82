"""The rules of the Pod Security Standards, each broken by one change of a pod that passes."""

from __future__ import annotations

from typing import Any

import pytest

from launch.deploy.pod_security import violations


def pod(container: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a pod that passes `restricted`, with changes."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, **(container or {})}
    own = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"securityContext": own, "containers": [{"securityContext": security}], **more}


UNCONFINED = {"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}}
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (pod({"privileged": True}), "baseline", "privileged: true"),
    (pod(hostIPC=True), "baseline", "hostIPC: true"),
    (pod(hostNetwork=True), "baseline", "hostNetwork: true"),
    (pod(volumes=[{"name": "a", "hostPath": {"path": "/b"}}]), "baseline", "hostPath /b"),
    (pod(securityContext=UNCONFINED), "baseline", "seccompProfile: Unconfined"),
    (pod({"capabilities": {"add": ["SYS_ADMIN"]}}), "baseline", "capability SYS_ADMIN"),
    (pod(securityContext={"runAsNonRoot": True}), "restricted", "seccompProfile: not set"),
    (pod({"runAsNonRoot": False}), "restricted", "runAsNonRoot is not true"),
    (pod({"runAsUser": 0}), "restricted", "runAsUser: 0"),
    (pod({"allowPrivilegeEscalation": None}), "restricted", "allowPrivilegeEscalation is not false"),
    (pod({"capabilities": {}}), "restricted", "capabilities: ALL is not dropped"),
    (pod({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}), "restricted", "capability CHOWN"),
    (pod(volumes=[{"name": "a", "nfs": {}}]), "restricted", "volume type nfs"),
]


def test_a_restricted_pod_passes_every_level() -> None:
    assert [violations(pod(), level) for level in ("privileged", "baseline", "restricted")] == [(), (), ()]


@pytest.mark.parametrize(("changed", "level", "expected"), BROKEN)
def test_each_rule_is_found(changed: dict[str, Any], level: str, expected: str) -> None:
    assert expected in violations(changed, level)
    assert violations(changed, "privileged") == ()
    if level == "restricted":
        assert expected not in violations(changed, "baseline")
