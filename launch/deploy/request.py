"""What is checked before anything is changed on a cluster, and what a check finds."""

from __future__ import annotations

from dataclasses import dataclass

from launch.deploy.client import Object
from launch.deploy.objects import DEFAULT, Surroundings
from launch.render.cluster_settings import ClusterSettings
from launch.spec.plan import Plan


@dataclass(frozen=True)
class Problem:
    """Why the cluster will not run the plan, and what to do about it."""

    what: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Request:
    """What is checked: a plan, its settings and its objects."""

    plan: Plan
    settings: ClusterSettings
    documents: list[Object]
    replace: bool = False
    around: Surroundings = DEFAULT

    @property
    def name(self) -> str:
        """The name of the workload."""
        return str(self.documents[0]["metadata"]["name"])
