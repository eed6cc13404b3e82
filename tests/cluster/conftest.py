"""A control plane for the run, and a namespace with nodes on paper for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launch.deploy.client import Cluster, connect
from tests.cluster import binaries, paper
from tests.cluster.control_plane import ControlPlane, control_plane
from tests.cluster.fetching import empty, listed  # noqa: F401 -- fixtures
from tests.conftest import SHARED, absent
from tests.registry.serving import FIX, program


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane. The build of its programs takes minutes, so it is not started from a test."""
    programs = binaries.built()
    if programs is None:
        pytest.skip(f"no Kubernetes: {binaries.FIX} builds it from Debian's source package (7 minutes)")
    with control_plane(programs, tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def registry_program() -> str:
    """The registry's program; installed if this user may do that."""
    return program() or absent(FIX)


@pytest.fixture
def cluster(
    plane: ControlPlane, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A namespace of its own; the commands of the test reach it by KUBECONFIG."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))
    name = f"test-{abs(hash(request.node.nodeid)) % 10**10}"
    made = replace(connect(), namespace=name)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    made.request("POST", "api/v1/namespaces", body=body)
    yield made
    paper.clear(made)
    made.request("DELETE", f"api/v1/namespaces/{name}")


@pytest.fixture
def kubelet(cluster: Cluster) -> Iterator[paper.Kubelet]:
    """The stand-in for the kubelet of the nodes on paper."""
    made = paper.Kubelet(cluster)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def leader_worker_set(cluster: Cluster) -> Iterator[None]:
    """The kind LeaderWorkerSet, as its project publishes it, for one test."""
    from tests.cluster.crd import install, remove

    file: Path = SHARED / "schemas" / "leaderworkerset-crd.yaml"
    if not file.is_file():
        pytest.skip("the LeaderWorkerSet CRD is not in ../shared")
    install(cluster, file)
    yield
    remove(cluster)
