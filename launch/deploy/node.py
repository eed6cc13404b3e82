"""The node of a pod and what the pod may use of it, as far as a cluster tells. Nothing on it is observed."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from errors import Failed
from launch.bench.record import Container, Host
from launch.deploy.client import Cluster, Object
from launch.deploy.quantity import amount
from launch.hardware.types import Hardware

PRODUCTS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name")  # labels of a node
GPUS = ("nvidia.com/gpu", "amd.com/gpu")
NOT_READ = "the energy counters of a node are not read"


def limits_of(container: Object) -> Container:
    """Return the limits of a container of a pod."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return Container(
        memory_bytes=int(amount(limits.get("memory", "0"))),
        cpus=float(amount(limits.get("cpu", "0"))),
        gpus=tuple(str(number) for number in range(gpus_of(container))),
    )


def gpus_of(container: Object) -> int:
    """Return how many GPUs a container asks for."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return sum(int(limits.get(name, 0)) for name in GPUS)


def node_of(cluster: Cluster, pod: Object) -> Host:
    """Return the node of a pod, as far as this user may read it."""
    name, container = str(pod["spec"].get("nodeName", "")), pod["spec"]["containers"][0]
    try:
        node = cluster.request("GET", f"api/v1/nodes/{name}")
    except Failed:
        node = {}
    info, labels = (
        (node.get("status") or {}).get("nodeInfo") or {},
        (node.get("metadata") or {}).get("labels") or {},
    )
    capacity = (node.get("status") or {}).get("capacity") or {}
    product = next((str(labels[key]) for key in PRODUCTS if key in labels), "")
    threads = int(amount(capacity.get("cpu", "0")))
    gpus = gpus_of(container)
    return Host(
        name=name,
        hardware=product if gpus else str(info.get("architecture", platform.machine())),
        count=gpus or round(limits_of(container).cpus) or threads,
        kernel=str(info.get("kernelVersion", "")),
        cpu_threads=threads,
        memory_bytes=int(amount(capacity.get("memory", "0"))),
        energy_reason=NOT_READ,
        observed=False,
    )


@dataclass
class NodeWatch:
    """The node of a pod, of whose other programs and clocks the API tells nothing."""

    node: Host
    client_pid: int = 0

    def read(self) -> None:
        """Read nothing."""

    def restart(self) -> None:
        """Read nothing."""

    def tick(self) -> None:
        """Read nothing."""

    def host(self, hardware: Hardware, on_cpus: float = 0) -> Host:
        """Return the node."""
        return self.node
