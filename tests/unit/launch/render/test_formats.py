"""Each format is one that its own tools accept."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from launch.render import compose, docker, kubernetes
from tests.conftest import SHARED
from tests.unit.launch.plan_builders import M2, TINY, plan

CASES = [
    (M2, "h200", 4, 1, "least"),
    (M2, "h200", 8, 2, "least"),
    (M2, "h200", 8, 4, "rdma"),
    (M2, "mi300x", 8, 1, "profiling"),
    (TINY, "cpu", 2, 1, "least"),
]


@pytest.mark.parametrize(("model", "hardware", "gpus", "nodes", "access"), CASES)
def test_compose_follows_the_published_schema(model, hardware, gpus, nodes, access):
    jsonschema = pytest.importorskip("jsonschema")
    schema = SHARED / "schemas" / "compose-spec.json"
    if not schema.is_file():
        pytest.skip("the Compose schema is not beside this repository")
    written = yaml.safe_load(compose.render(plan(model, hardware, gpus, nodes, access=access)))
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(written)


@pytest.mark.parametrize(("model", "hardware", "gpus", "nodes", "access"), CASES)
def test_kubernetes_is_valid_and_has_no_key_too_many(model, hardware, gpus, nodes, access):
    validator = pytest.importorskip("kubernetes_validate")
    for document in kubernetes.documents(plan(model, hardware, gpus, nodes, access=access)):
        if document["kind"] == "LeaderWorkerSet":
            for part in (
                "leaderTemplate",
                "workerTemplate",
            ):  # the CRD says little about pods; Kubernetes does
                pod = {"apiVersion": "v1", "kind": "Pod", **document["spec"]["leaderWorkerTemplate"][part]}
                validator.validate({**pod, "metadata": {**pod["metadata"], "name": "p"}}, "1.33", strict=True)
        else:
            validator.validate(document, "1.33", strict=True)


@pytest.mark.parametrize("nodes", [2, 3])
def test_a_leaderworkerset_follows_its_crd(nodes):
    jsonschema = pytest.importorskip("jsonschema")
    crd = SHARED / "schemas" / "leaderworkerset-crd.yaml"
    if not crd.is_file():
        pytest.skip("the LeaderWorkerSet CRD is not beside this repository")
    versions = yaml.load(crd.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"][
        "versions"
    ]
    schema = closed(next(v for v in versions if v["name"] == "v1")["schema"]["openAPIV3Schema"])
    document = kubernetes.documents(plan(M2, "h200", 8, nodes))[0]
    assert document["kind"] == "LeaderWorkerSet"
    jsonschema.Draft7Validator(schema).validate(document)


def closed(schema: Any) -> Any:
    """A CRD schema without room for unknown keys, and with Kubernetes' own int-or-string."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    if schema.get("type") == "object" and "properties" in schema and "metadata" not in schema["properties"]:
        found["additionalProperties"] = False
    return found


def test_from_three_nodes_on_a_worker_finds_its_own_rank():
    document = kubernetes.documents(plan(M2, "h200", 8, 3))[0]
    worker = document["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]
    assert "--data-parallel-start-rank $((LWS_WORKER_INDEX * 8))" in worker["command"][2]
    assert "--data-parallel-address $LWS_LEADER_ADDRESS" in worker["command"][2]


def test_docker_run_with_the_guides_access_is_the_guides_line():
    guide = SHARED / "guide.md"
    if not guide.is_file():
        pytest.skip("the guide is not beside this repository")
    line = next(line for line in guide.read_text().splitlines() if line.startswith("docker run -it --ipc"))
    printed = docker.render(plan(M2, "mi300x", 8, vllm="0.11.1", access="guide"))
    assert printed.splitlines()[1].split() == line.split()


def test_folders_to_write_to_are_made_by_the_caller_first():
    printed = docker.render(plan(TINY, "cpu"))
    assert printed.startswith("mkdir -p /home/me/slipway\ndocker run")
