"""Prometheus and the dashboard for a server: what they may do, whom they ask, and who could not be asked."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from errors import Refused
from launch.render import render
from launch.render.monitoring.dashboard import dashboard, panels
from launch.spec.plan import Plan
from tests.conftest import SHARED
from tests.unit.launch.plan_builders import M2
from tests.unit.launch.plan_builders import plan as planned


@pytest.fixture
def plan() -> Plan:
    return planned(M2, "h200", 8)


def values(plan: Plan) -> dict[str, Any]:
    """Return a Compose file as Compose reads it: two dollars are one."""
    found: dict[str, Any] = yaml.safe_load(render(plan, "compose", monitoring=True).replace("$$", "$"))
    return found


def config(found: dict[str, Any], name: str) -> str:
    text: str = found["configs"][name]["content"]
    return text


def test_the_server_itself_does_not_change(plan: Plan) -> None:
    alone = yaml.safe_load(render(plan, "compose").replace("$$", "$"))
    assert values(plan)["services"].items() >= alone["services"].items()


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_watches_has_the_least_access(plan: Plan, name: str) -> None:
    service = values(plan)["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["user"].split(":")[0] != "0"
    assert [port.rsplit(":", 2)[0] for port in service["ports"]] == ["127.0.0.1"]
    assert {volume["type"] for volume in service["volumes"]} == {"volume"}


def test_prometheus_asks_the_server_by_the_name_of_its_service(plan: Plan) -> None:
    found = yaml.safe_load(config(values(plan), "prometheus"))
    (job,) = found["scrape_configs"]
    assert (job["scheme"], job["static_configs"]) == ("http", [{"targets": ["server:8000"]}])


def test_on_the_network_of_the_host_all_stay_on_loopback(plan: Plan) -> None:
    host = replace(plan, container=replace(plan.container, network="host", ports=()))
    found = values(host)
    assert {found["services"][name]["network_mode"] for name in ("prometheus", "grafana")} == {"host"}
    assert "--web.listen-address=127.0.0.1:9090" in found["services"]["prometheus"]["command"]
    assert found["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert "127.0.0.1:8000" in config(found, "prometheus")


def test_grafana_finds_prometheus_and_the_dashboard(plan: Plan) -> None:
    found = values(plan)
    (source,) = json.loads(config(found, "grafana-source"))["datasources"]
    board = json.loads(config(found, "grafana-dashboard"))
    assert found["services"]["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    assert source["url"] == "${PROMETHEUS_URL}"
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in dashboard("x")["panels"]]
    cells = {(p["x"] + x, p["y"] + y) for p in places for x in range(p["w"]) for y in range(p["h"])}
    assert len(cells) == sum(place["w"] * place["h"] for place in places)
    assert len(places) == len(panels())


def test_a_server_that_needs_a_client_certificate_cannot_be_watched(plan: Plan) -> None:
    head = plan.processes[0]
    mutual = replace(plan, processes=(replace(head, argv=(*head.argv, "--ssl-cert-reqs", "2")),))
    for form in ("compose", "kubernetes"):
        with pytest.raises(Refused, match="cannot be watched"):
            render(mutual, form, monitoring=True)


@pytest.mark.parametrize("form", ["text", "json", "docker", "quadlet"])
def test_other_formats_refuse(plan: Plan, form: str) -> None:
    with pytest.raises(Refused, match="--monitoring needs another format"):
        render(plan, form, monitoring=True)


def test_a_cluster_gets_a_service_monitor_and_a_dashboard(plan: Plan) -> None:
    objects = list(yaml.safe_load_all(render(plan, "kubernetes", monitoring=True)))
    _, service, monitor, board = objects
    assert [one["kind"] for one in objects] == ["Deployment", "Service", "ServiceMonitor", "ConfigMap"]
    chosen = monitor["spec"]["selector"]["matchLabels"]
    assert chosen.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = board["data"].values()
    assert f'job=\\"{service["metadata"]["name"]}\\"' in text


def test_compose_matches_the_published_schema(plan: Plan) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = SHARED / "schemas" / "compose-spec.json"
    if not schema.is_file():
        pytest.skip("the Compose schema is not in ../shared")
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(values(plan))


def test_promtool_accepts_the_configuration(plan: Plan, tmp_path: Path) -> None:
    if not (promtool := shutil.which("promtool")):
        pytest.skip("no promtool (Debian: apt-get install prometheus)")
    file = tmp_path / "prometheus.yml"
    file.write_text(config(values(plan), "prometheus"))
    done = subprocess.run([promtool, "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
