"""Choose the objects around a server's pods from the user's options and from what the cluster has."""

from __future__ import annotations

from dataclasses import replace

from launch.deploy.client import KINDS, Cluster
from launch.deploy.object_options import ObjectOptions
from launch.deploy.objects import Surroundings
from launch.operations.cluster_storage import storage_of
from launch.operations.weights_place import WeightsPlace
from launch.render.cluster_settings import ClusterSettings
from launch.spec.plan import Plan


def surroundings(
    plan: Plan, place: WeightsPlace, options: ObjectOptions, cluster: Cluster | None
) -> Surroundings:
    """Return what is made around the pods; without a cluster, what does not depend on it. Raises Refused or Failed."""

    def exists(claim: str) -> bool:
        return cluster is not None and cluster.get("PersistentVolumeClaim", claim) is not None

    monitor = options.monitoring == "yes"
    if options.monitoring == "auto" and cluster:
        monitor = cluster.serves(KINDS["ServiceMonitor"][0])
    storage = storage_of(plan, place, options, exists)
    return Surroundings(storage, options.network_policy == "yes", options.allow_from, monitor)


def with_storage(settings: ClusterSettings, around: Surroundings) -> ClusterSettings:
    """Return the settings with the claim that the pods mount."""
    return replace(settings, weights=around.storage.claim) if around.storage else settings


def notes_on(around: Surroundings) -> list[str]:
    """Return what a user should know about the traffic that the objects allow."""
    if around.network_policy and around.monitor and not around.allow_from:
        return ["Prometheus in another namespace reaches the pods only with --allow-from NAMESPACE"]
    return []
