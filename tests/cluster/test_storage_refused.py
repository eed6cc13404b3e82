"""Claims, classes and options with which no weights can be fetched: one clear message, and nothing is changed."""

from __future__ import annotations

import pytest

from launch.deploy.client import Cluster
from tests.cluster import paper
from tests.cluster.fetching import CLAIM, COMMIT, fetch
from tests.cluster.test_deploy import deploy
from tests.cluster.test_deploy_refused import create, refusal


def test_disks_of_one_node_are_refused_for_several(empty: Cluster) -> None:
    paper.add_class(empty, "disks", "ebs.csi.aws.com", default=False)
    text = refusal(empty, fetch(empty, "--replicas", "2", "--storage-class", "disks"))
    assert "storage class 'disks' has disks of one node, and the plan has 2 pods" in text
    fetch(empty, "--storage-class", "disks", "--dry-run").ok()


def test_no_default_storage_class(cluster: Cluster, listed: None) -> None:
    paper.add_node(cluster, "node-1", gpus="8")
    paper.add_class(cluster, "slow", default=False)
    text = refusal(cluster, fetch(cluster))
    assert "the cluster has no default storage class for the claim of the weights" in text
    assert "its classes: slow" in text


def test_an_unknown_storage_class(empty: Cluster) -> None:
    text = refusal(empty, fetch(empty, "--storage-class", "fast"))
    assert "the cluster has no storage class 'fast'" in text
    assert "--storage-class with one of the cluster: shared" in text


def test_a_quota_for_storage(empty: Cluster) -> None:
    create(empty, "ResourceQuota", "team", {"hard": {"requests.storage": "100Gi"}})
    text = refusal(empty, fetch(empty))
    assert "quota 'team' leaves too little requests.storage" in text
    assert "222 GiB needed, 100 GiB free" in text


def test_a_claim_that_is_too_small_or_read_only(empty: Cluster) -> None:
    paper.add_weights(empty, "models")
    fetch(empty, "--weights-claim", "models", "--prefetch", "--dry-run").ok()
    create(
        empty,
        CLAIM,
        "small",
        {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "9Gi"}}},
    )
    text = refusal(empty, fetch(empty, "--weights-claim", "small", "--prefetch"))
    assert "claim 'small' is too small: 9 GiB for 200 GiB of weights" in text


def test_no_secret_for_the_hub(empty: Cluster) -> None:
    text = refusal(empty, fetch(empty, "--hub-secret", "hub-token"))
    assert "no Secret 'hub-token'" in text
    assert "create secret generic hub-token --from-file=token=FILE" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--hub", "http://127.0.0.1:8080"), "pods cannot reach the Hub at http://127.0.0.1:8080"),
        (("--hub", "https://me:secret@hub.example"), "the URL of the Hub has a password"),
        (("--weights-path", "/hub", "--prefetch"), "--prefetch needs a claim"),
        (
            ("--weights-claim", "models", "--storage-size", "1Ti"),
            "--storage-size is for a claim that Slipway makes",
        ),
        (("--delete-weights",), "--delete-weights is a part of --delete"),
    ],
)
def test_options_that_have_no_meaning(empty: Cluster, words: tuple[str, ...], expected: str) -> None:
    done = deploy(empty, "--revision", COMMIT, *words)
    assert expected in refusal(empty, done)
    assert "secret@" not in done.err
