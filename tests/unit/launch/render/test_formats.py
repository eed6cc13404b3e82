"""Each format is valid for the tool that reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from launch.checked_data.data_file import parse_yaml
from launch.render import compose, docker, kubernetes, quadlet
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
def test_compose_matches_the_published_schema(
    model: str, hardware: str, gpus: int, nodes: int, access: str
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = SHARED / "schemas" / "compose-spec.json"
    if not schema.is_file():
        pytest.skip("the Compose schema is not in ../shared")
    written = yaml.safe_load(compose.render(plan(model, hardware, gpus, nodes, access=access)))
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(written)


@pytest.mark.parametrize(("model", "hardware", "gpus", "nodes", "access"), CASES)
def test_kubernetes_documents_validate_strictly(
    model: str, hardware: str, gpus: int, nodes: int, access: str
) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for document in kubernetes.documents(plan(model, hardware, gpus, nodes, access=access)):
        if document["kind"] == "LeaderWorkerSet":
            for part in (
                "leaderTemplate",
                "workerTemplate",
            ):  # Kubernetes checks pods more strictly than the CRD
                pod = {"apiVersion": "v1", "kind": "Pod", **document["spec"]["leaderWorkerTemplate"][part]}
                validator.validate({**pod, "metadata": {**pod["metadata"], "name": "p"}}, "1.33", strict=True)
        else:
            validator.validate(document, "1.33", strict=True)


@pytest.mark.parametrize("nodes", [2, 3])
def test_kubernetes_leaderworkerset_matches_its_crd(nodes: int) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    crd = SHARED / "schemas" / "leaderworkerset-crd.yaml"
    if not crd.is_file():
        pytest.skip("the LeaderWorkerSet CRD is not in ../shared")
    versions = parse_yaml(crd.read_text())["spec"]["versions"]
    schema = closed(next(v for v in versions if v["name"] == "v1")["schema"]["openAPIV3Schema"])
    document = kubernetes.documents(plan(M2, "h200", 8, nodes))[0]
    assert document["kind"] == "LeaderWorkerSet"
    jsonschema.Draft7Validator(schema).validate(document)


def closed(schema: Any) -> Any:
    """Return a CRD schema that allows no unknown keys, with Kubernetes' int-or-string."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        copy.pop("type", None)
    if schema.get("type") == "object" and "properties" in schema and "metadata" not in schema["properties"]:
        copy["additionalProperties"] = False
    return copy


def test_kubernetes_workers_compute_their_rank() -> None:
    document = kubernetes.documents(plan(M2, "h200", 8, 3))[0]
    worker = document["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]
    shell = worker["command"][2].replace("$$", "$")  # as Kubernetes reads it
    assert "--data-parallel-start-rank $((LWS_WORKER_INDEX * 8))" in shell
    assert "--data-parallel-address $LWS_LEADER_ADDRESS" in shell


def test_docker_with_guide_access_is_the_guides_line() -> None:
    guide = SHARED / "guide.md"
    if not guide.is_file():
        pytest.skip("the guide is not in ../shared")
    command = next(line for line in guide.read_text().splitlines() if line.startswith("docker run -it --ipc"))
    image = "rocm/vllm-dev:nightly"
    printed = docker.render(plan(M2, "mi300x", 8, vllm="0.11.1", image=image, access="guide"))
    assert printed.splitlines()[1].split() == command.split()


def test_files_and_commands_create_writable_folders_first() -> None:
    made = plan(TINY, "cpu")
    command = f"mkdir -p {made.container.mounts[1].source}\n"
    assert docker.render(made).startswith(command)
    assert compose.render(made).startswith(f"# on every host first: {command}")
    assert f"\nExecStartPre=/usr/bin/env {command}" in quadlet.render(made)


def test_docker_with_guide_access_opens_a_shell_in_an_image_that_serves_by_itself() -> None:
    made = plan(M2, "mi300x", 8, vllm="0.11.1", image="slipway/vllm-rocm:x", access="guide")
    on_the_host, in_the_shell = docker.render(made).split("# in the shell of the container\n")
    assert on_the_host.split()[-4:] == ["MiniMax-M2", "--entrypoint", "bash", "slipway/vllm-rocm:x"]
    assert "vllm serve MiniMaxAI/MiniMax-M2" in in_the_shell


@pytest.mark.parametrize(("nodes", "expected"), [(1, False), (2, True)])
def test_quadlet_on_several_nodes_reads_the_launchers_variables(nodes: int, expected: bool) -> None:
    service = quadlet.render(plan(M2, "h200", 8, nodes)).split("[Service]")[1]
    assert ("EnvironmentFile=%h/.config/slipway/cluster.env" in service) is expected
