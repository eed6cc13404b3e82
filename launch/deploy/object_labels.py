"""Labels of the objects around a server's pods, and of the pods that fetch its weights. Pure."""

from __future__ import annotations

from launch.render.kubernetes import MANAGED_BY, MANAGER

NAME = "app.kubernetes.io/name"
TEMPLATE = "slipway/template"  # annotation of a Job: a hash of what its pods are made from
DASHBOARD = "grafana_dashboard"  # label of what `plan --monitoring` makes for Grafana


def own_labels(name: str) -> dict[str, str]:
    """Return the labels by which the objects of a server are found."""
    return {NAME: name, MANAGED_BY: MANAGER}


def server_pods(name: str) -> dict[str, dict[str, str]]:
    """Return the selector of a server's pods."""
    return {"matchLabels": {NAME: name}}


def fetch_labels(name: str) -> dict[str, str]:
    """Return the labels of the pods that fetch. Their name is another one, so that no Service leads to them."""
    return {NAME: f"{name}-fetch", MANAGED_BY: MANAGER}
