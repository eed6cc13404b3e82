"""Prometheus and Grafana as services of a Compose file, with their configuration inside it.

Both listen on the loopback address of the host only, run as an ordinary user with a read-only root, and keep their data
in volumes. `configs` with `content` needs Docker Compose 2.23.1 or newer.
"""

from __future__ import annotations

import json
from typing import Any

from errors import Refused
from launch.render.health import endpoint
from launch.render.monitoring.dashboard import UID, dashboard
from launch.spec.plan import Plan

# Tags, because no digest of them was checked here; docs/how-to/watch.md says how to pin one.
PROMETHEUS, GRAFANA = "docker.io/prom/prometheus:v3.5.0", "docker.io/grafana/grafana:12.1.0"
PROMETHEUS_PORT, GRAFANA_PORT = 9090, 3000
INTERVAL = "10s"
_LEAST = {
    "restart": "unless-stopped",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 256,
}


def with_monitoring(values: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the values of a Compose file with the two services. Raises Refused if the server cannot be asked."""
    host = plan.container.network == "host"
    configs = {
        "prometheus": prometheus(plan),
        "grafana-source": _source(),
        "grafana-dashboards": _provider(),
        "grafana-dashboard": f"{json.dumps(dashboard(f'vLLM: {plan.model}'), indent=1)}\n",
    }
    services = {"prometheus": _prometheus(host), "grafana": _grafana(host)}
    return {
        **values,
        "services": {**values["services"], **services},
        "volumes": {**values.get("volumes", {}), "prometheus": {}, "grafana": {}},
        "configs": {name: {"content": text.replace("$", "$$")} for name, text in configs.items()},
    }


def prometheus(plan: Plan) -> str:
    """Return prometheus.yml. The server of the first node has the metrics of all engines."""
    import yaml

    first = plan.processes[0]
    found = endpoint(plan, first)
    if found is None:
        why = "its API is not reachable by other containers without a certificate"
        raise Refused("the server of this plan cannot be watched", why=why, fix="plan without --monitoring")
    name = "127.0.0.1" if plan.container.network == "host" else first.role
    job: dict[str, Any] = {
        "job_name": "slipway",
        "scheme": "https" if found.tls else "http",
        "static_configs": [{"targets": [f"{name}:{found.port}"]}],
    }
    if found.tls:  # the certificate names another host than the service of the Compose file
        job["tls_config"] = {"insecure_skip_verify": True}
    return yaml.safe_dump({"global": {"scrape_interval": INTERVAL}, "scrape_configs": [job]}, sort_keys=False)


def _prometheus(host: bool) -> dict[str, Any]:
    listen = f"127.0.0.1:{PROMETHEUS_PORT}" if host else f":{PROMETHEUS_PORT}"
    return {
        "image": PROMETHEUS,
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=15d",
            f"--web.listen-address={listen}",
        ],
        "user": "65534:65534",
        **_LEAST,
        **_network(host, PROMETHEUS_PORT),
        "configs": [{"source": "prometheus", "target": "/etc/prometheus/prometheus.yml"}],
        "volumes": [{"type": "volume", "source": "prometheus", "target": "/prometheus"}],
    }


def _grafana(host: bool) -> dict[str, Any]:
    source = f"http://{'127.0.0.1' if host else 'prometheus'}:{PROMETHEUS_PORT}"
    variables = {
        "PROMETHEUS_URL": source,
        "GF_SERVER_HTTP_ADDR": "127.0.0.1" if host else "0.0.0.0",
        "GF_SERVER_HTTP_PORT": str(GRAFANA_PORT),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",  # to look only; its port is on loopback
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
    folder = "/etc/grafana/provisioning"
    return {
        "image": GRAFANA,
        "environment": variables,
        "user": "472:0",
        **_LEAST,
        **_network(host, GRAFANA_PORT),
        "tmpfs": ["/tmp"],
        "configs": [
            {"source": "grafana-source", "target": f"{folder}/datasources/slipway.yaml"},
            {"source": "grafana-dashboards", "target": f"{folder}/dashboards/slipway.yaml"},
            {"source": "grafana-dashboard", "target": "/etc/slipway/dashboards/slipway.json"},
        ],
        "volumes": [{"type": "volume", "source": "grafana", "target": "/var/lib/grafana"}],
    }


def _network(host: bool, port: int) -> dict[str, Any]:
    """Return how a service is reached: on the loopback address of the host."""
    return {"network_mode": "host"} if host else {"ports": [f"127.0.0.1:{port}:{port}"]}


def _source() -> str:
    """Return the provisioning of Prometheus as the source of data; Grafana fills in the variable."""
    return json.dumps(
        {
            "apiVersion": 1,
            "datasources": [
                {
                    "name": "Prometheus",
                    "uid": UID,
                    "type": "prometheus",
                    "access": "proxy",
                    "url": "${PROMETHEUS_URL}",
                    "isDefault": True,
                }
            ],
        }
    )


def _provider() -> str:
    """Return the provisioning of the folder with the dashboard."""
    options = {"path": "/etc/slipway/dashboards"}
    return json.dumps(
        {"apiVersion": 1, "providers": [{"name": "slipway", "type": "file", "options": options}]}
    )
