"""Pods as an API server returns them."""

from __future__ import annotations

from typing import Any

CREATED = "2026-11-01T10:00:00Z"
STARTED = "2026-11-01T10:00:02Z"
PROBE = {"httpGet": {"path": "/health", "port": 8000}}


def condition(kind: str, status: str = "True", time: str = CREATED) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": time}


def pod(
    name: str = "m2-1", *, ready: bool = True, key: str = "", api: bool = True, gpus: str = "", **limits: str
) -> dict[str, Any]:
    """Return a pod that runs. `key` is the name of the Secret with its API key."""
    container: dict[str, Any] = {
        "name": "vllm",
        "image": f"registry.example/vllm@sha256:{'0' * 64}",
        "command": ["vllm", "serve"],
        "args": ["org/model", "--revision", "abc123", "--tensor-parallel-size", "4", "--api-key", "word"],
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "A", "value": "$$B"}],
        "resources": {"limits": {**limits, **({"nvidia.com/gpu": gpus} if gpus else {})}},
    }
    if key:
        container["envFrom"] = [{"secretRef": {"name": key}}]
    if api:
        container["readinessProbe"] = PROBE
    labels = {"app.kubernetes.io/name": "m2", "slipway/plan": "d1"}
    meta = {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": CREATED, "labels": labels}
    state = {"name": "vllm", "restartCount": 0, "state": {"running": {"startedAt": STARTED}}}
    conditions = [condition("PodScheduled"), condition("Ready", str(ready))]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [state]}
    return {"metadata": meta, "spec": {"nodeName": "node-1", "containers": [container]}, "status": status}
