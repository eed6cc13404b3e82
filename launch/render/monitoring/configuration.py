"""The files that Prometheus and Grafana of a Compose file read."""

from __future__ import annotations

import json
from typing import Any

from errors import Refused
from launch.render.health import endpoint
from launch.render.monitoring.dashboard import dashboard
from launch.spec.plan import Plan

PROMETHEUS = "monitoring/prometheus.yml"
SOURCE = "monitoring/grafana-source.yaml"
PROVIDER = "monitoring/grafana-dashboards.yaml"
DASHBOARD = "monitoring/dashboard.json"
FOLDER = "/etc/slipway/dashboards"  # of dashboards, in the container of Grafana
INTERVAL = "10s"


def files(plan: Plan) -> dict[str, str]:
    """Return the text of each file by its name. Raises Refused if the server cannot be asked."""
    return {
        PROMETHEUS: prometheus(plan),
        SOURCE: _yaml({"apiVersion": 1, "datasources": [_source()]}),
        PROVIDER: _yaml({"apiVersion": 1, "providers": [_provider()]}),
        DASHBOARD: f"{json.dumps(dashboard(f'vLLM: {plan.model}'), indent=1)}\n",
    }


def on_host(plan: Plan) -> bool:
    """Return whether the server uses the network of the host."""
    return plan.container.network == "host"


def prometheus(plan: Plan) -> str:
    """Return prometheus.yml. The server of the first node has the metrics of all engines that it gives requests to."""
    first = plan.processes[0]
    found = endpoint(plan, first)
    if found is None:
        why = "its API is not reachable by other containers without a certificate"
        raise Refused("the server of this plan cannot be watched", why=why, fix="plan without --monitoring")
    name = "127.0.0.1" if on_host(plan) else first.role
    job: dict[str, Any] = {
        "job_name": "slipway",
        "scheme": "https" if found.tls else "http",
        "static_configs": [{"targets": [f"{name}:{found.port}"]}],
    }
    if found.tls:  # the certificate names another host than the service of the Compose file
        job["tls_config"] = {"insecure_skip_verify": True}
    return _yaml({"global": {"scrape_interval": INTERVAL}, "scrape_configs": [job]})


def _source() -> dict[str, Any]:
    """Return the provisioning of Prometheus as the source of data; Grafana fills in the variable."""
    return {
        "name": "Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": "${PROMETHEUS_URL}",
        "isDefault": True,
        "jsonData": {"timeInterval": INTERVAL},  # $__rate_interval depends on it
    }


def _provider() -> dict[str, Any]:
    """Return the provisioning of the folder with the dashboard."""
    return {"name": "slipway", "type": "file", "options": {"path": FOLDER}}


def _yaml(values: dict[str, Any]) -> str:
    from launch.render.yaml_text import dump

    return dump([values])
