"""A stand-in for the CRD of Prometheus Operator's ServiceMonitor: the same group and kind, and any fields."""

from __future__ import annotations

import time

from launch.deploy.client import KINDS, Cluster
from tests.cluster.crd import CRDS

GROUP, PLURAL = "monitoring.coreos.com", "servicemonitors"
READY = 20  # seconds


def install(cluster: Cluster) -> None:
    """Create the kind and wait until the server serves it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": PLURAL, "singular": "servicemonitor", "kind": "ServiceMonitor"}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    cluster.request("POST", CRDS, body={**head, "metadata": {"name": f"{PLURAL}.{GROUP}"}, "spec": spec})
    _wait(cluster, served=True)


def remove(cluster: Cluster) -> None:
    """Remove the kind with all its objects, and wait until the server has forgotten it."""
    cluster.request("DELETE", f"{CRDS}/{PLURAL}.{GROUP}")
    _wait(cluster, served=False)


def _wait(cluster: Cluster, served: bool) -> None:
    end = time.monotonic() + READY
    while cluster.serves(KINDS["ServiceMonitor"][0]) is not served:
        assert time.monotonic() < end, f"ServiceMonitor is {'not ' if served else 'still '}served"
        time.sleep(0.2)
