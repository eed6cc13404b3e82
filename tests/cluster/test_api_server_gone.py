"""The API server goes away in the middle: one clear line, and what was applied stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launch.deploy.client import Cluster, connect
from launch.operations.deploy import SETTLED
from tests.cluster import binaries, paper
from tests.cluster.control_plane import ControlPlane, control_plane
from tests.invocation import finished, start

IMAGE = f"registry.example/vllm@sha256:{'0' * 64}"


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of this test alone, which ends it."""
    programs = binaries.built()
    if programs is None:
        pytest.skip(f"no Kubernetes: {binaries.FIX} builds it from Debian's source package (7 minutes)")
    with control_plane(programs, tmp_path) as running:
        yield running


@pytest.fixture
def own_cluster(own_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("KUBECONFIG", str(own_plane.kubeconfig()))
    return replace(connect(), namespace="default")


def test_a_start_that_is_followed(own_cluster: Cluster, own_plane: ControlPlane) -> None:
    paper.add_node(own_cluster, "node-1", gpus="8")  # on which nothing ever starts
    paper.add_weights(own_cluster)
    wanted = ("--hardware", "h200", "--gpus", "4", "--vllm", "0.32.0", "--image", IMAGE)
    running = start("deploy", *wanted, "--wait", "ready")
    assert running.stdout is not None
    lines = [running.stdout.readline() for _ in ("NetworkPolicy", "Service", "Deployment")]
    assert lines[-1] == "Deployment minimax-m2 created\n"
    killed = time.monotonic()
    own_plane.server.kill()
    done = finished(running)
    assert done.code == 1
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert line == f"error: cannot reach the cluster at {own_plane.url}, while 'minimax-m2' starts"
    assert time.monotonic() - killed > SETTLED  # a restart of the server is short
