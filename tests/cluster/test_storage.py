"""The claim for the weights and the Job that fetches them, on a real API server with nodes and volumes on paper."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from launch.deploy.client import Cluster
from launch.deploy.fetch_job import fetch_status
from launch.deploy.kustomize import WAVE
from launch.deploy.object_labels import TEMPLATE
from launch.deploy.objects import Surroundings, documents
from launch.deploy.storage import Storage, job_name
from launch.render.cluster_settings import ClusterSettings
from launch.weights.manifest import Entry, Manifest
from tests.cluster import leader_worker_set, paper
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fetching import CLAIM, COMMIT, HUB, SIZE, fetch
from tests.cluster.test_deploy import gone, kinds
from tests.cluster.test_deploy_refused import make_member
from tests.invocation import invoke
from tests.unit.launch.plan_builders import M2, plan


def test_the_job_fetches_before_the_server_starts(empty: Cluster, kubelet: paper.Kubelet) -> None:
    first = fetch(empty).ok()
    (job,) = empty.list("Job")
    name = job["metadata"]["name"]
    assert first.out.splitlines() == [
        "NetworkPolicy minimax-m2 created",
        "NetworkPolicy minimax-m2-fetch created",
        f"{CLAIM} minimax-m2-weights created",
        f"ConfigMap {name} created",
        f"Job {name} created",
        "Service minimax-m2-api created",
        "Deployment minimax-m2 created",
    ]
    assert "fetch MiniMaxAI/MiniMax-M2 into the cluster: done" in first.err
    (claim,) = empty.list(CLAIM)
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["resources"] == {"requests": {"storage": "222Gi"}}
    (pod,) = (pod for pod in empty.list("Pod") if "job-name" in pod["metadata"]["labels"])
    (server,) = (pod for pod in empty.list("Pod") if "job-name" not in pod["metadata"]["labels"])
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["metadata"]["creationTimestamp"] <= server["metadata"]["creationTimestamp"]
    (volume,) = (one for one in server["spec"]["volumes"] if "persistentVolumeClaim" in one)
    assert volume["persistentVolumeClaim"] == {"claimName": "minimax-m2-weights", "readOnly": True}
    assert "1 of 1 replicas ready" in invoke("deploy", "--status", "--namespace", empty.namespace).ok().out


def test_the_same_weights_are_fetched_once(empty: Cluster, kubelet: paper.Kubelet) -> None:
    """Another image or more memory makes other pods, and the Job that has ended stays."""
    fetch(empty).ok()
    assert fetch(empty, "--diff").ok().out == "no change\n"
    again = fetch(empty, "--memory", "200Gi").ok()
    (job,) = empty.list("Job")
    assert f"Job {job['metadata']['name']} unchanged" in again.out
    assert "Deployment minimax-m2 changed" in again.out


def test_delete_keeps_the_weights_unless_asked(empty: Cluster, kubelet: paper.Kubelet) -> None:
    where = ("deploy", "--delete", "--namespace", empty.namespace)
    fetch(empty).ok()
    done = invoke(*where).ok()
    assert f"{CLAIM} minimax-m2-weights is kept with its weights" in done.err
    for kind in ("Deployment", "Job", "Pod", "Service", "NetworkPolicy"):
        assert gone(empty, kind), kind
    assert kinds(empty) == set()
    assert f"{CLAIM} minimax-m2-weights created" not in fetch(empty).ok().out
    assert f"{CLAIM} minimax-m2-weights removed" in invoke(*where, "--delete-weights").ok().out
    assert gone(empty, CLAIM)


def test_a_fetch_that_fails_is_explained_and_repeated(empty: Cluster, kubelet: paper.Kubelet) -> None:
    """Kubernetes makes a second pod after 10 seconds, then the Job has failed."""
    report = {"error": f"{M2} is gated", "why": "the Hub answers 403", "fix": "accept its license"}
    ended = {"exitCode": 1, "reason": "Error", "message": json.dumps(report)}
    kubelet.fetched = {"state": {"terminated": ended}}
    done = fetch(empty)
    assert done.code == 1
    assert f"error: the weights were not fetched: {M2} is gated" in done.err
    shown = invoke("deploy", "--status", "--namespace", empty.namespace).ok().out
    assert f"failed; {M2} is gated" in shown
    assert "next: accept its license" in done.err
    assert empty.get("Deployment", "minimax-m2") is None
    kubelet.fetched = paper.COMPLETED
    (job,) = empty.list("Job")
    assert f"Job {job['metadata']['name']} would be started again" in fetch(empty, "--diff").ok().out
    # Another user of the pods changes the template of the Job, which Kubernetes does not let change.
    again = fetch(empty, "--run-as", "2000").ok()
    assert f"Job {job['metadata']['name']} started again" in again.out


def test_a_fetch_that_cannot_start_is_replaced_by_one_that_can(
    empty: Cluster, kubelet: paper.Kubelet
) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no login"}
    kubelet.fetched = {"state": {"waiting": waiting}}
    assert "a node cannot pull the image" in fetch(empty).err
    kubelet.fetched = paper.COMPLETED
    (job,) = empty.list("Job")
    again = fetch(empty, "--run-as", "2000").ok()
    assert f"Job {job['metadata']['name']} started again" in again.out
    assert "Deployment minimax-m2 created" in again.out


@pytest.mark.usefixtures("leader_worker_set")
def test_several_nodes_share_one_claim(empty: Cluster, kubelet: paper.Kubelet) -> None:
    fetch(empty, "--nodes", "2", "--wait", "no", gpus=8).ok()
    (claim,) = empty.list(CLAIM)
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    leader_worker_set.reconcile(empty, "minimax-m2")
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in empty.list("Pod")
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"minimax-m2-weights"}


def test_a_user_who_may_not_read_storage_classes(
    empty: Cluster, kubelet: paper.Kubelet, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_member(empty)
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig("guest-token")))
    done = fetch(empty).ok()
    assert "note: not checked: storage class (" in done.err
    assert "Deployment minimax-m2 created" in done.out


def test_a_claim_without_a_volume_is_named(empty: Cluster) -> None:
    """The class was there when the cluster was checked, and is gone."""
    entries = (Entry("model.safetensors", SIZE, "d" * 64, "d" * 64),)
    storage = Storage("m2-weights", True, Manifest(M2, "main", COMMIT, entries), HUB, "gone")
    for document in documents(plan(M2, "h200", 4), ClusterSettings(), Surroundings(storage))[1:]:
        empty.apply(document)
    end = time.monotonic() + 15
    while not (found := fetch_status(empty, job_name(storage, "minimax-m2"), "m2-weights").causes):
        assert time.monotonic() < end, [event["message"] for event in empty.list("Event")]
        time.sleep(0.2)
    assert "the claim of the weights gets no volume" in {cause.cause for cause in found}


def test_a_secret_is_named_and_its_content_is_never_shown(empty: Cluster, tmp_path: Path) -> None:
    body = {"metadata": {"name": "hub-token"}, "stringData": {"token": "hf_abcdef"}}
    empty.request("POST", empty.path("Secret"), body=body)
    shown = fetch(empty, "--hub-secret", "hub-token", "--diff").ok()
    assert "name: hub-token" in shown.out
    fetch(empty, "--hub-secret", "hub-token", "--output", str(tmp_path / "overlay")).ok()
    written = "".join(path.read_text() for path in (tmp_path / "overlay").iterdir())
    for text in (shown.out, shown.err, written):
        assert "hf_abcdef" not in text
        assert "aGZfYWJjZGVm" not in text  # the same in base64, as the API has it


def test_kustomize_gets_everything_in_two_waves(empty: Cluster, tmp_path: Path) -> None:
    import yaml

    folder = tmp_path / "overlay"
    fetch(empty, "--output", str(folder)).ok()
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert listed["resources"] == [
        "configmap.yaml",
        "deployment.yaml",
        "job.yaml",
        "networkpolicy-minimax-m2-fetch.yaml",
        "networkpolicy-minimax-m2.yaml",
        "persistentvolumeclaim.yaml",
        "service.yaml",
    ]
    for name in listed["resources"]:
        document = yaml.safe_load((folder / name).read_text())
        empty.apply(document, dry_run=True)
        notes = document["metadata"].get("annotations", {})
        assert (WAVE in notes) is (name == "deployment.yaml")
        if name == "job.yaml":  # another template is another Job
            assert document["metadata"]["name"].endswith(notes[TEMPLATE])
