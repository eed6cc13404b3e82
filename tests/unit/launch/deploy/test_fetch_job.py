"""What a Job that fetches weights does, from the objects of a cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from errors import Failed
from launch.deploy import fetch_job
from launch.deploy.client import Cluster, Object
from launch.deploy.fetch_job import fetch_status, follow

JOB, CLAIM = "m2-fetch-1", "m2-weights"
PROGRESS = {"done": 3, "total": 12, "note": "3 of 12 B"}


@dataclass
class Objects:
    """A stand-in for a cluster with these objects."""

    job: Object | None
    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    log: bytes = b""

    def get(self, kind: str, name: str) -> Object | None:
        claim = {"metadata": {"name": CLAIM, "uid": "claim"}}
        return self.job if kind == "Job" else claim

    def list(self, kind: str, selector: str = "") -> list[Object]:
        return self.pods if kind == "Pod" else self.events

    def path(self, kind: str, name: str = "") -> str:
        return name

    def read(self, method: str, path: str, query: dict[str, Any]) -> bytes:
        return self.log


def job(**status: Any) -> Object:
    return {"metadata": {"name": JOB, "uid": "job"}, "status": status}


def condition(kind: str) -> Object:
    return job(conditions=[{"type": kind, "status": "True"}])


def pod(phase: str, node: str = "node-1", **state: Any) -> Object:
    status = {"phase": phase, "containerStatuses": [{"state": state}] if state else []}
    return {"metadata": {"name": "p", "uid": "pod"}, "spec": {"nodeName": node}, "status": status}


def status(objects: Objects) -> fetch_job.FetchStatus:
    return fetch_status(cast(Cluster, objects), JOB, CLAIM)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (Objects(job()), "waits for its pod"),
        (Objects(job(), [pod("Pending", node="")]), "waits for a node"),
        (Objects(job(), [pod("Pending")]), "waits for the volume and the image"),
        (Objects(job(), [pod("Running")]), "fetches"),
        (Objects(job(), [pod("Running")], log=json.dumps(PROGRESS).encode()), "fetches; 3 of 12 B"),
        (Objects(job(), [pod("Running")], log=b"[1, 2"), "fetches"),
        (Objects(condition("Complete")), "done"),
    ],
)
def test_the_phase(objects: Objects, expected: str) -> None:
    assert status(objects).summary == expected


def test_a_claim_that_gets_no_volume_is_named() -> None:
    event = {
        "type": "Warning",
        "reason": "ProvisioningFailed",
        "message": 'storageclass.storage.k8s.io "fast" not found',
        "involvedObject": {"name": CLAIM, "uid": "claim"},
    }
    found = status(Objects(job(), [pod("Pending", node="")], [event]))
    assert found.summary == "waits for a node; the claim of the weights gets no volume"


def test_a_job_that_failed_says_what_its_pod_reported() -> None:
    report = {"error": "12 GiB more are needed", "why": "2 GiB are free", "fix": "use --cache DIR"}
    ended = pod("Failed", terminated={"exitCode": 1, "message": json.dumps(report)})
    with pytest.raises(Failed, match="the weights were not fetched: 12 GiB more are needed") as caught:
        follow(cast(Cluster, Objects(condition("Failed"), [ended])), JOB, CLAIM, lambda found: None)
    assert caught.value.why == "2 GiB are free"
    assert "--storage-size" in caught.value.fix


def test_a_job_whose_pod_had_too_little_memory() -> None:
    ended = pod("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})
    with pytest.raises(Failed, match="used more memory than its limit"):
        follow(cast(Cluster, Objects(condition("Failed"), [ended])), JOB, CLAIM, lambda found: None)


def test_a_pod_that_gets_no_node_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_job, "EVERY", 0.01)
    with pytest.raises(Failed, match="waits for a node for 0 s"):
        follow(cast(Cluster, Objects(job(), [pod("Pending", node="")])), JOB, CLAIM, lambda found: None, 0.1)


def test_a_job_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_job, "EVERY", 0.01)
    monkeypatch.setattr(fetch_job, "SETTLED", 0.05)
    with pytest.raises(Failed, match="was removed while it fetched"):
        follow(cast(Cluster, Objects(None)), JOB, CLAIM, lambda found: None)
