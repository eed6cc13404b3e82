"""Prometheus and Grafana as services of a Compose file, with their configuration in files next to it.

Both listen on the loopback address of the host only, run as an ordinary user with a read-only root, and keep their data
in volumes. The configuration cannot stand in the Compose file: Compose copies such a text into the container, and the
engine refuses that if the root is read-only (docker/compose#12031).
"""

from __future__ import annotations

from typing import Any

from launch.render.monitoring.configuration import DASHBOARD, FOLDER, PROMETHEUS, PROVIDER, SOURCE, on_host
from launch.spec.plan import Plan

# Tags, because no digest of them was checked here; docs/how-to/watch.md says how to pin one.
PROMETHEUS_IMAGE = "docker.io/prom/prometheus:v3.5.0"
GRAFANA_IMAGE = "docker.io/grafana/grafana:12.1.0"
PROMETHEUS_PORT, GRAFANA_PORT = 9090, 3000
_LEAST = {
    "restart": "unless-stopped",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 256,
    "mem_limit": "1g",  # an assumption: a page of vLLM has some hundred series
    "cpus": 1.0,
}
_VARIABLES = {
    "GF_SERVER_HTTP_PORT": str(GRAFANA_PORT),
    "GF_AUTH_ANONYMOUS_ENABLED": "true",  # to look only; its port is on loopback
    "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",  # else Grafana 12 downloads plugins at its start
}


def with_monitoring(values: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the values of a Compose file with the two services."""
    host = on_host(plan)
    services = {"prometheus": _prometheus(host), "grafana": _grafana(host)}
    return {
        **values,
        "services": {**values["services"], **services},
        "volumes": {**values.get("volumes", {}), "prometheus": {}, "grafana": {}},
    }


def _prometheus(host: bool) -> dict[str, Any]:
    listen = f"127.0.0.1:{PROMETHEUS_PORT}" if host else f":{PROMETHEUS_PORT}"
    return {
        "image": PROMETHEUS_IMAGE,
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=15d",
            f"--web.listen-address={listen}",
        ],
        "user": "65534:65534",
        **_LEAST,
        **_network(host, PROMETHEUS_PORT),
        "volumes": [_file(PROMETHEUS, "/etc/prometheus/prometheus.yml"), _data("prometheus", "/prometheus")],
    }


def _grafana(host: bool) -> dict[str, Any]:
    source = f"http://{'127.0.0.1' if host else 'prometheus'}:{PROMETHEUS_PORT}"
    address = {"PROMETHEUS_URL": source, "GF_SERVER_HTTP_ADDR": "127.0.0.1" if host else "0.0.0.0"}
    provisioning = "/etc/grafana/provisioning"
    return {
        "image": GRAFANA_IMAGE,
        "environment": {**address, **_VARIABLES},
        "user": "472:0",
        **_LEAST,
        **_network(host, GRAFANA_PORT),
        "tmpfs": ["/tmp"],
        "volumes": [
            _file(SOURCE, f"{provisioning}/datasources/slipway.yaml"),
            _file(PROVIDER, f"{provisioning}/dashboards/slipway.yaml"),
            _file(DASHBOARD, f"{FOLDER}/slipway.json"),
            _data("grafana", "/var/lib/grafana"),
        ],
    }


def _network(host: bool, port: int) -> dict[str, Any]:
    """Return how a service is reached: on the loopback address of the host, whatever network the server is on."""
    return {"network_mode": "host"} if host else {"ports": [f"127.0.0.1:{port}:{port}"]}


def _file(name: str, target: str) -> dict[str, Any]:
    """Return the mount of a file that is next to the Compose file."""
    return {"type": "bind", "source": f"./{name}", "target": target, "read_only": True}


def _data(name: str, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": name, "target": target}
