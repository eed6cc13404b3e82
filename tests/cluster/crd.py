"""Install the CRD of LeaderWorkerSet on Kubernetes 1.20, which refuses a few keys that later servers accept."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

from errors import Failed
from launch.data_file import parse_yaml
from launch.deploy.client import connect
from tests.cluster.control_plane import ControlPlane

CRDS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
READY = 20  # seconds


def install(plane: ControlPlane, file: Path) -> None:
    """Create the kind and wait until the server serves it."""
    with mock.patch.dict(os.environ, {"KUBECONFIG": str(plane.kubeconfig())}):
        cluster = connect()
    cluster.request("POST", CRDS, body=_for_old_server(parse_yaml(file.read_text())))
    end = time.monotonic() + READY
    while time.monotonic() < end:
        groups = cluster.request("GET", "apis")["groups"]
        if any(group["name"] == "leaderworkerset.x-k8s.io" for group in groups):
            with contextlib.suppress(Failed):
                cluster.request("GET", cluster.path("LeaderWorkerSet"))
                return
        time.sleep(0.2)
    raise AssertionError("the server does not serve LeaderWorkerSet")


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
