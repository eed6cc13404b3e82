"""A cluster without weights, and the list of files that is fetched into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.deploy.client import Cluster
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry, Manifest
from tests.cluster import paper
from tests.cluster.test_deploy import deploy
from tests.invocation import Finished
from tests.unit.launch.plan_builders import M2

COMMIT = "ab" * 20
SIZE = 200 * 2**30
HUB = "https://hub.example"
CLAIM = "PersistentVolumeClaim"


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The list of files of MiniMax-M2 at COMMIT in this host's cache, without the files."""
    entries = (Entry("config.json", 600, "c" * 40), Entry("model.safetensors", SIZE, "d" * 64, "d" * 64))
    path = ModelFolder(tmp_path, M2).manifest(COMMIT)
    path.parent.mkdir(parents=True)
    manifests.save(Manifest(M2, COMMIT, COMMIT, entries, "MIT", "https://huggingface.co"), path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


@pytest.fixture
def empty(cluster: Cluster, listed: None) -> Cluster:
    """A cluster with GPUs and a storage class, and without weights."""
    for number in (1, 2):
        paper.add_node(cluster, f"node-{number}", gpus="8", product="NVIDIA-H200")
    paper.add_class(cluster, "shared")
    return cluster


def fetch(cluster: Cluster, *words: str, gpus: int = 4) -> Finished:
    return deploy(cluster, "--revision", COMMIT, "--hub", HUB, *words, gpus=gpus)
