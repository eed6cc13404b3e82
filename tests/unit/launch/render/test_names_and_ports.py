"""The name of a server in every format, and the port of a plan with `--port auto`."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from errors import Refused
from launch.render import compose, docker, kubernetes, quadlet, render
from launch.spec.plan import AUTO_PORT, Plan
from tests.unit.launch.plan_builders import plan


def named(name: str = "Replica.2", **options: Any) -> Plan:
    return plan(gpus=4, name=name, **options)


def test_docker_has_the_name() -> None:
    assert "--name Replica.2" in docker.render(named())
    assert "--name slipway-minimax-m2 " in docker.render(plan(gpus=4))


def test_compose_has_a_project_for_each_name() -> None:
    found = compose.document(named())
    assert (found["name"], found["services"]["server"]["container_name"]) == ("replica-2", "Replica.2")
    assert "name" not in compose.document(plan(gpus=4))


def test_quadlet_has_a_file_for_each_name() -> None:
    found = quadlet.render(named())
    assert "# ~/.config/containers/systemd/Replica.2.container\n" in found
    assert "ContainerName=Replica.2\n" in found
    assert "/slipway.container\n" in quadlet.render(plan(gpus=4))


@pytest.mark.parametrize(
    ("name", "expected"), [("Replica.2", "replica-2"), ("2nd", "vllm-2nd"), ("x" * 40, "x" * 40)]
)
def test_kubernetes_has_a_name_that_a_service_may_have(name: str, expected: str) -> None:
    names = {document["metadata"]["name"] for document in kubernetes.documents(named(name))}
    assert names == {expected, f"{expected}-api"}


def test_two_names_are_two_plans() -> None:
    assert named("replica-1").digest != named("replica-2").digest


@pytest.mark.parametrize("form", ["docker", "compose", "quadlet", "kubernetes"])
def test_a_rendered_plan_has_port_8000_for_auto(form: str) -> None:
    assert render(plan(port=AUTO_PORT), form) == render(plan(), form).replace(
        plan().digest, plan(port=AUTO_PORT).with_port(8000).digest
    )


def test_the_plan_says_that_the_port_is_chosen_at_the_start() -> None:
    made = plan(port=AUTO_PORT)
    assert "the first free port from 8000 on" in render(made, "text")
    assert json.loads(render(made, "json"))["container"]["ports"][0]["host"] == 0
    assert yaml.safe_load(render(made, "compose"))["services"]["server"]["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.parametrize(("nodes", "access"), [(2, "least"), (1, "guide")])
def test_auto_needs_a_published_port(nodes: int, access: str) -> None:
    with pytest.raises(Refused, match="--port auto cannot be used with") as refused:
        plan(hardware="mi300x", nodes=nodes, access=access, port=AUTO_PORT)
    assert refused.value.fix == "--port 8000"


def test_a_unit_of_root_belongs_to_the_system() -> None:
    found = quadlet.render(plan(gpus=4, facts={"uid": 0, "gid": 0}))
    assert found.startswith("# /etc/containers/systemd/slipway.container for root, ")
    assert "UserNS" not in found
    assert "UserNS=keep-id\n" in quadlet.render(plan(gpus=4))
