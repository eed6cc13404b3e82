"""Find the resource with which the nodes of a cluster offer their RDMA adapters."""

from __future__ import annotations

from collections.abc import Iterator

from launch.deploy.answers import Forbidden
from launch.deploy.client import Cluster, Object
from launch.deploy.request import Problem, Request
from launch.render.pod_resources import RDMA, resources_of
from launch.spec.plan import Plan

PREFIX = "rdma/"  # of the names that device plugins for RDMA use


def needs_rdma(plan: Plan) -> bool:
    """Return whether a plan uses RDMA adapters."""
    return RDMA in plan.container.devices


def offered(cluster: Cluster, plan: Plan) -> tuple[str, ...]:
    """Return the RDMA resources of nodes with the plan's GPUs; () if nodes cannot be read."""
    try:
        nodes = cluster.request("GET", "api/v1/nodes")["items"]
    except Forbidden:
        return ()
    return tuple(sorted({name for node in nodes for name in _resources(node, resources_of(plan).device)}))


def _resources(node: Object, device: str) -> list[str]:
    amounts = (node.get("status") or {}).get("allocatable") or {}
    if device and not _number(amounts.get(device)):
        return []
    return [name for name, value in amounts.items() if name.startswith(PREFIX) and _number(value)]


def _number(value: object) -> int:
    """Return the number of devices; those of a plugin are always whole numbers."""
    return int(str(value)) if str(value).isdigit() else 0


def check_rdma(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find nodes without RDMA, or with less of it than the plan asks for."""
    if not needs_rdma(request.plan):
        return
    nodes = cluster.request("GET", "api/v1/nodes")["items"]
    names = offered(cluster, request.plan)
    wanted = request.settings.rdma
    if not wanted:
        what = "no node with these GPUs offers RDMA adapters, which --access rdma needs"
        fix = "install a device plugin for RDMA; or --access least, which uses TCP"
        yield Problem(what, f"no allocatable resource begins with {PREFIX}", fix)
    elif not any(
        _number(((node.get("status") or {}).get("allocatable") or {}).get(wanted)) for node in nodes
    ):
        fix = (
            f"--rdma-resource with one of: {', '.join(names)}" if names else "--access least, which uses TCP"
        )
        yield Problem(f"no node offers the resource '{wanted}'", "--rdma-resource names it", fix)


def note_on_rdma(cluster: Cluster, plan: Plan) -> list[str]:
    """Return a note if a plan of several nodes leaves the adapters of the nodes unused."""
    if len(plan.processes) < 2 or needs_rdma(plan):
        return []
    names = offered(cluster, plan)
    text = (
        f"this plan uses TCP between nodes that offer RDMA adapters ({', '.join(names)}); see --access rdma"
    )
    return [text] if names else []
