"""Prometheus and the dashboard next to a server: what they may do, whom they ask, and who could not be asked."""

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
from launch.render import files, render
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
    return read(files(plan, "compose", monitoring=True)["compose.yaml"].replace("$$", "$"))


def read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def config(plan: Plan, name: str) -> str:
    """Return the text of a file that Prometheus or Grafana reads."""
    return files(plan, "compose", monitoring=True)[name]


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
    assert service["mem_limit"]
    assert {volume["read_only"] for volume in service["volumes"] if volume["type"] == "bind"} == {True}


def test_every_file_that_is_mounted_is_written(plan: Plan) -> None:
    mounts = [
        mount for name in ("prometheus", "grafana") for mount in values(plan)["services"][name]["volumes"]
    ]
    names = {mount["source"].removeprefix("./") for mount in mounts if mount["type"] == "bind"}
    assert names == set(files(plan, "compose", monitoring=True)) - {"compose.yaml"}


def test_no_configuration_is_copied_into_a_read_only_container(plan: Plan) -> None:
    found = values(plan)  # Compose cannot: docker/compose#12031
    assert "configs" not in found
    assert all("configs" not in service for service in found["services"].values())


def test_several_files_are_not_printed(plan: Plan) -> None:
    with pytest.raises(Refused, match="several files") as refused:
        render(plan, "compose", monitoring=True)
    assert refused.value.fix == "--output DIR"


def test_prometheus_asks_the_server_by_the_name_of_its_service(plan: Plan) -> None:
    found = read(config(plan, "monitoring/prometheus.yml"))
    (job,) = found["scrape_configs"]
    assert (job["scheme"], job["static_configs"]) == ("http", [{"targets": ["server:8000"]}])


def test_on_the_network_of_the_host_all_stay_on_loopback(plan: Plan) -> None:
    host = replace(plan, container=replace(plan.container, network="host", ports=()))
    found = values(host)
    assert {found["services"][name]["network_mode"] for name in ("prometheus", "grafana")} == {"host"}
    assert "--web.listen-address=127.0.0.1:9090" in found["services"]["prometheus"]["command"]
    assert found["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert "127.0.0.1:8000" in config(host, "monitoring/prometheus.yml")


def test_grafana_finds_prometheus_and_the_dashboard(plan: Plan) -> None:
    found = values(plan)
    (source,) = read(config(plan, "monitoring/grafana-source.yaml"))["datasources"]
    (folder,) = read(config(plan, "monitoring/grafana-dashboards.yaml"))["providers"]
    mounted = [mount["target"] for mount in found["services"]["grafana"]["volumes"]]
    assert found["services"]["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    assert source["url"] == "${PROMETHEUS_URL}"
    assert f"{folder['options']['path']}/slipway.json" in mounted


def test_panels_ask_the_prometheus_that_grafana_has() -> None:
    board = dashboard("x")
    chosen = board["templating"]["list"][0]
    assert (chosen["type"], chosen["query"]) == ("datasource", "prometheus")
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {f"${{{chosen['name']}}}"}


def test_dashboards_of_two_servers_have_different_names() -> None:
    first, second = (dashboard("x", job=name) for name in ("minimax-m2-api", "minimax-m21-api"))
    assert first["uid"] != second["uid"]
    long, longer = ("a" * 60 + end for end in ("one", "two"))
    uids = {dashboard("x", job=name)["uid"] for name in (long, longer)}
    assert [len(uid) for uid in uids] == [40, 40]


def test_panels_stand_next_to_each_other_without_overlap() -> None:
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
    name = service["metadata"]["name"]
    assert json.loads(text)["uid"] == name
    assert json.loads(text)["title"] == f"vLLM: {plan.model} ({name})"


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
    file.write_text(config(plan, "monitoring/prometheus.yml"))
    done = subprocess.run([promtool, "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
