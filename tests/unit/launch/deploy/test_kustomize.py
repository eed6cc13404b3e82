"""The folder for kustomize: a file for each object, with names of their own."""

from __future__ import annotations

from launch.checked_data.data_file import parse_yaml
from launch.deploy.kustomize import WAVE, files


def document(kind: str, name: str = "m2") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def test_objects_of_one_kind_have_files_of_their_own() -> None:
    made = files([document("Deployment"), document("Service"), document("Service", "m2-api")], "models")
    assert sorted(made) == ["deployment.yaml", "kustomization.yaml", "service-m2-api.yaml", "service-m2.yaml"]
    assert parse_yaml(made["kustomization.yaml"])["namespace"] == "models"


def test_the_workload_waits_for_a_job() -> None:
    made = files([document("Deployment"), document("Job")])
    assert parse_yaml(made["deployment.yaml"])["metadata"]["annotations"] == {WAVE: "1"}
    assert "annotations" not in parse_yaml(files([document("Deployment")])["deployment.yaml"])["metadata"]
