"""The objects with which a cluster's own Prometheus and Grafana find a server: ServiceMonitor and ConfigMap."""

from __future__ import annotations

import json
from typing import Any

from errors import Refused
from launch.render.health import endpoint
from launch.render.monitoring.dashboard import dashboard
from launch.spec.plan import Plan

INTERVAL = "10s"


def objects(plan: Plan, service: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects for the Service of a plan.

    Prometheus Operator names the job by the Service. Grafana's sidecar reads ConfigMaps with the label
    grafana_dashboard. Raises Refused if the server cannot be asked.
    """
    name, labels = service["metadata"]["name"], service["metadata"]["labels"]
    found = endpoint(plan, plan.processes[0])
    if found is None:
        why = "its API cannot be reached without a certificate of its own"
        raise Refused("the server of this plan cannot be watched", why=why, fix="plan without --monitoring")
    scrape: dict[str, Any] = {
        "port": service["spec"]["ports"][0]["name"],
        "path": "/metrics",
        "interval": INTERVAL,
    }
    if found.tls:  # the certificate names another host than the pod's address
        scrape |= {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}}
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}},
            "endpoints": [scrape],
        },
    }
    text = json.dumps(dashboard(f"vLLM: {plan.model} ({name})", job=name), indent=1) + "\n"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-dashboard", "labels": {**labels, "grafana_dashboard": "1"}},
        "data": {f"{name}.json": text},
    }
    return [monitor, config]
