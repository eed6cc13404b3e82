"""Which pod is shown while several start, and how its log is read."""

from __future__ import annotations

from typing import Any

import pytest

from errors import Failed
from launch.deploy.start_reader import StartReader
from tests.unit.launch.deploy.fake_cluster import FakeCluster
from tests.unit.launch.deploy.pods import pod

LOG = "2026-11-01T10:00:10Z INFO Resolved architecture: M2\n"


def reader(cluster: Any) -> StartReader:
    return StartReader(cluster, "m2")


def test_no_pod() -> None:
    assert reader(FakeCluster({})).read() is None


def test_the_pod_that_is_furthest_behind_and_its_log_alone() -> None:
    cluster = FakeCluster({"Pod": [pod("a"), pod("b", ready=False)]}, {"b": LOG})
    start = reader(cluster).read()
    assert start is not None
    assert (start.name, start.note) == ("b", "configure")
    assert len(cluster.queries) == 1


def test_a_worker_without_an_api_is_never_behind() -> None:
    cluster = FakeCluster({"Pod": [pod("head"), pod("worker", ready=False, api=False)]}, {"head": LOG})
    start = reader(cluster).read()
    assert start is not None and start.name == "head"


def test_a_pod_that_is_being_removed_is_none_of_the_start() -> None:
    old = pod("old", ready=False)
    old["metadata"]["deletionTimestamp"] = "2026-11-01T10:00:00Z"
    assert reader(FakeCluster({"Pod": [old]})).read() is None


def test_the_next_look_reads_what_was_logged_since() -> None:
    cluster = FakeCluster({"Pod": [pod("a", ready=False)]}, {"a": LOG})
    following = reader(cluster)
    following.read()
    cluster.logs["a"] = LOG + "2026-11-01T10:00:20Z INFO Starting to load model\n"
    start = following.read()
    assert start is not None and start.note == "load weights"
    assert [query.get("sinceTime") for query in cluster.queries] == [None, "2026-11-01T10:00:10Z"]


def test_a_cluster_that_does_not_answer_leaves_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({"Pod": [pod("a", ready=False)]}, {"a": LOG})
    following = reader(cluster)
    following.read()

    def gone(*words: Any) -> Any:
        raise Failed("cannot reach the cluster")

    for name in ("list", "read"):
        monkeypatch.setattr(cluster, name, gone)
    start = following.read()
    assert start is not None and start.note == "configure"
