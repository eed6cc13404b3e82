"""The objects around a server's pods: valid for Kubernetes, and restricted to what they need."""

from __future__ import annotations

from typing import Any

import pytest

from launch.deploy.network_policy import fetch_policy
from launch.deploy.objects import Surroundings, documents
from launch.deploy.pod_security import violations
from launch.deploy.storage import Storage, job_name
from launch.deploy.storage_table import size_gib
from launch.render.cluster_settings import ClusterSettings
from launch.spec.plan import Plan
from launch.weights.manifest import Entry, Manifest
from tests.unit.launch.plan_builders import M2, plan

ENTRIES = (Entry("model.safetensors", 200 * 2**30, "d" * 64, "d" * 64),)
LISTED = Manifest(M2, "main", "ab" * 20, ENTRIES, "MIT", "https://hub.example")
STORAGE = Storage("m2-weights", True, LISTED, "https://hub.example", hub_secret="hub-token")


def made(nodes: int = 1, **facts: Any) -> list[dict[str, Any]]:
    """Return all objects of MiniMax-M2 on nodes of 8 GPUs."""
    settings = ClusterSettings(weights="m2-weights", pull_secret="registry")
    return documents(_plan(nodes), settings, Surroundings(STORAGE, monitor=True, **facts))


def _plan(nodes: int) -> Plan:
    return plan(M2, "h200", 8, nodes)


def one(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only object of a kind."""
    (wanted,) = (document for document in found if document["kind"] == kind)
    return wanted


@pytest.mark.parametrize("nodes", [1, 2])
def test_all_objects_validate_strictly(nodes: int) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    found = made(nodes)
    custom = ("LeaderWorkerSet", "ServiceMonitor")
    for document in found:
        if document["kind"] not in custom:
            validator.validate(document, "1.33", strict=True)
    kinds = [document["kind"] for document in found]
    assert kinds[1:6] == [*["NetworkPolicy"] * 2, "PersistentVolumeClaim", "ConfigMap", "Job"]
    assert kinds[6:] == ["Service", *(["PodDisruptionBudget"] if nodes > 1 else []), "ServiceMonitor"]


def test_the_pod_that_fetches_passes_restricted() -> None:
    pod = one("Job", made())["spec"]["template"]["spec"]
    assert violations(pod, "restricted") == ()
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]


def test_the_pod_that_fetches_runs_where_the_server_may_run() -> None:
    """A volume that is made for it is then within reach of the nodes with GPUs."""
    settings = ClusterSettings(weights="m2-weights", products=("NVIDIA-H200",), pull_secret="registry")
    found = documents(_plan(1), settings, Surroundings(STORAGE))
    job, server = (one(kind, found)["spec"]["template"]["spec"] for kind in ("Job", "Deployment"))
    assert job["affinity"] == {"nodeAffinity": server["affinity"]["nodeAffinity"]}
    for same in ("tolerations", "securityContext", "imagePullSecrets"):
        assert job[same] == server[same]
    assert job["containers"][0]["image"] == server["containers"][0]["image"]


def test_a_secret_is_named_and_not_read() -> None:
    variables = {entry["name"]: entry for entry in _variables(made())}
    assert variables["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "hub-token", "key": "token"}}


def _variables(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(one("Job", found)["spec"]["template"]["spec"]["containers"][0]["env"])


def test_no_service_leads_to_the_pod_that_fetches() -> None:
    found = made()
    labels = one("Job", found)["spec"]["template"]["metadata"]["labels"]
    selector = one("Service", found)["spec"]["selector"]
    assert not selector.items() <= labels.items()


def test_other_weights_make_another_job_and_another_image_does_not() -> None:
    name = job_name(STORAGE, "minimax-m2")
    newer = Storage("m2-weights", True, Manifest(M2, "main", "cd" * 20, ENTRIES), "https://hub.example")
    assert name == one("Job", made())["metadata"]["name"]
    assert job_name(newer, "minimax-m2") != name
    assert len(job_name(STORAGE, "n" * 40)) <= 63


@pytest.mark.parametrize(("gib", "claim"), [(0, 1), (1, 3), (200, 221), (230 * 10**9 / 2**30, 237)])
def test_a_claim_is_larger_than_its_weights(gib: float, claim: int) -> None:
    assert size_gib(int(gib * 2**30)) == claim


@pytest.mark.parametrize(
    ("endpoint", "port", "cidr"),
    [
        ("https://hub.example", 443, "0.0.0.0/0"),
        ("http://hub.example:8080/mirror", 8080, "0.0.0.0/0"),
        ("http://10.1.2.3", 80, "10.1.2.3/32"),
    ],
)
def test_the_fetch_reaches_names_and_the_hub_alone(endpoint: str, port: int, cidr: str) -> None:
    spec = fetch_policy({"metadata": {"name": "m2"}}, endpoint)["spec"]
    names, hub = spec["egress"]
    assert {one["port"] for one in names["ports"]} == {53}
    assert hub["ports"] == [{"protocol": "TCP", "port": port}]
    assert hub["to"][0]["ipBlock"]["cidr"] == cidr
    assert "ingress" not in spec  # and Ingress is among its types, so nothing comes in
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_a_fetch_from_any_address_does_not_reach_the_metadata_of_a_cloud() -> None:
    spec = fetch_policy({"metadata": {"name": "m2"}}, "https://hub.example")["spec"]
    blocks = [target["ipBlock"] for target in spec["egress"][1]["to"]]
    assert [block["except"][0] for block in blocks] == ["169.254.0.0/16", "fe80::/10"]


def test_everybody_may_use_the_api_if_asked() -> None:
    policy = made(allow_from=("all",))[1]
    assert policy["spec"]["ingress"][0] == {"ports": [{"protocol": "TCP", "port": 8000}]}


def test_workers_reach_their_head_and_nothing_else() -> None:
    spec = made(nodes=2)[1]["spec"]
    group = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "minimax-m2"}}}
    assert spec["egress"][0] == {"to": [group]}
    assert spec["ingress"][1] == {"from": [group]}
    assert [port["port"] for port in spec["egress"][1]["ports"]] == [53, 53]
