"""A server of a cluster as the target of a benchmark."""

from __future__ import annotations

from launch.bench.target import Target
from launch.deploy.client import Cluster
from launch.deploy.node import gpus_of
from launch.deploy.pod_instance import PodInstance
from launch.deploy.server import Reached


def target_of(cluster: Cluster, reached: Reached, name: str) -> Target:
    """Return the target for a server at the end of a port-forward."""
    return Target(
        PodInstance(cluster, reached, name),
        url=reached.url,
        model=reached.model,
        key=reached.key,
        port=reached.port,
        on_gpu=gpus_of(reached.pod["spec"]["containers"][0]) > 0,
    )
