"""All objects of a server on a cluster, the workload first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from launch.deploy import storage
from launch.deploy.client import Object
from launch.deploy.disruption_budget import disruption_budget
from launch.deploy.network_policy import fetch_policy, server_policy
from launch.deploy.storage import Storage
from launch.render import kubernetes
from launch.render.cluster_settings import ClusterSettings
from launch.render.monitoring import kubernetes as monitoring
from launch.spec.plan import Plan


@dataclass(frozen=True)
class Surroundings:
    """What is made in addition to the pods and their Service."""

    storage: Storage | None = None
    network_policy: bool = True
    allow_from: tuple[str, ...] = ()
    monitor: bool = False


DEFAULT = Surroundings()


def documents(plan: Plan, settings: ClusterSettings, around: Surroundings) -> list[Object]:
    """Return the workload, then all others in the order in which they are made before it."""
    workload, service = kubernetes.documents(plan, settings)
    fetching = storage.documents(around.storage, workload) if around.storage else []
    policies = _policies(workload, service, around) if around.network_policy else []
    budget = disruption_budget(workload)
    # A policy is made before the pods that it restricts, and the Job last, because the workload waits for it.
    made = [*policies, *fetching, service, *([budget] if budget else [])]
    if around.monitor:
        made.append(monitoring.objects(plan, service)[0])
    return [workload, *made]


def _policies(workload: Object, service: Object, around: Surroundings) -> list[Object]:
    ports = [port["targetPort"] for port in service["spec"]["ports"]]
    made = [server_policy(workload, ports, around.allow_from)]
    if around.storage and around.storage.manifest:
        made.append(fetch_policy(workload, around.storage.endpoint))
    return made
