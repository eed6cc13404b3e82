"""Install the CRD of LeaderWorkerSet on Kubernetes 1.20, which refuses a few keys that later servers accept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from errors import Failed
from launch.checked_data.data_file import parse_yaml
from launch.deploy.client import Cluster

CRDS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
READY = 20  # seconds


def install(cluster: Cluster, file: Path) -> None:
    """Create the kind and wait until the server serves it."""
    cluster.request("POST", CRDS, body=_for_old_server(parse_yaml(file.read_text())))
    _wait(cluster, served=True)


def remove(cluster: Cluster) -> None:
    """Remove the kind with all its objects, and wait until the server has forgotten it."""
    cluster.request("DELETE", f"{CRDS}/leaderworkersets.leaderworkerset.x-k8s.io")
    _wait(cluster, served=False)


def _wait(cluster: Cluster, served: bool) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end:
        try:
            cluster.request("GET", cluster.path("LeaderWorkerSet"))
            found = True
        except Failed:
            found = False
        if found is served:
            return
        time.sleep(0.2)
    raise AssertionError(f"LeaderWorkerSet is {'not ' if served else 'still '}served")


def _for_old_server(value: Any) -> Any:
    """Return the CRD without empty defaults and without list keys that have none."""
    if isinstance(value, list):
        return [_for_old_server(item) for item in value]
    if not isinstance(value, dict):
        return value
    left = {
        key: _for_old_server(item) for key, item in value.items() if not (key == "default" and item == "")
    }
    if "imagePullSecrets" in left and isinstance(left["imagePullSecrets"], dict):
        for key in ("x-kubernetes-list-map-keys", "x-kubernetes-list-type"):
            left["imagePullSecrets"].pop(key, None)
    return left
