"""A pod as a benchmark measures it: the load runs next to the server, as in a container of this host.

A load from here would measure the API server of the cluster, which copies every byte of a port-forward.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from errors import Failed, SlipwayError
from launch.bench.instance import Neighbours
from launch.bench.record import ClusterPlace, Container, Host, Server
from launch.bench.server import environment, layout_of, recipe_hash, without_secrets
from launch.deploy import pod_program
from launch.deploy.answers import NotFound
from launch.deploy.client import Cluster, Object
from launch.deploy.quantity import amount
from launch.deploy.server import Reached
from launch.deploy.start import PodStart
from launch.deploy.start_reader import StartReader
from launch.hardware.types import Gpu, Hardware
from launch.http.client import request
from launch.serving.openai_client import is_healthy

PRODUCTS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name")  # labels of a node
GPUS = ("nvidia.com/gpu", "amd.com/gpu")
NOT_READ = "the energy counters of a node are not read"


@dataclass(frozen=True)
class PodInstance:
    """A server in a pod, at the end of a port-forward."""

    cluster: Cluster
    reached: Reached
    name: str

    @property
    def pod(self) -> str:
        """The name of the pod."""
        return str(self.reached.pod["metadata"]["name"])

    def start_id(self) -> str:
        """Return the id of the pod, the time of its start and the restarts."""
        return start_id(self.cluster.request("GET", self.cluster.path("Pod", self.pod)))

    def describe(self, start_id: str) -> Server:
        """Return what the pod and its log tell."""
        place = ClusterPlace(
            host=self.cluster.host,
            namespace=self.cluster.namespace,
            pod=self.pod,
            node=str(self.reached.pod["spec"].get("nodeName", "")),
        )
        start = StartReader(self.cluster, self.name).of_pod(self.reached.pod)
        more = {"start_id": start_id, "vllm": _version(self.reached.url), "cluster": place}
        more["weights_commit"] = self.reached.revision
        return server_of(self.reached.pod, self.reached.model, start).model_copy(update=more)

    def gone(self, start_id: str) -> str:
        """Return what happened to the pod."""
        try:
            now = self.start_id()
        except NotFound:
            return "the server's pod was removed"
        except SlipwayError as error:
            return f"the cluster did not answer ({error.why or error.what})"
        return "" if now == start_id else "the server's container was restarted, or its pod is being removed"

    def watch(self, gpus: Sequence[Gpu], neighbours: Neighbours) -> NodeWatch:
        """Return what the cluster tells of the node."""
        return NodeWatch(node_of(self.cluster, self.reached.pod))

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Run a program in the pod."""
        return pod_program.run(self.cluster, self.pod, argv)

    def run_attached(
        self,
        argv: Sequence[str],
        show: Callable[[str], None],
        pid_file: str,
        started: Callable[[int], None],
    ) -> tuple[int, str]:
        """Run a program in the pod that ends with this one; it has no process id on this host."""
        return pod_program.run_attached(self.cluster, self.pod, argv, show, pid_file)


def start_id(pod: Object) -> str:
    """Return what changes with every start of the server; also if the pod is being removed."""
    meta, states = pod["metadata"], (pod.get("status") or {}).get("containerStatuses") or [{}]
    running = (states[0].get("state") or {}).get("running") or {}
    ending = "-" if meta.get("deletionTimestamp") else ""
    restarts = states[0].get("restartCount", 0)
    return f"{meta['uid'][:12]}{ending}@{running.get('startedAt', '')}#{restarts}"


def server_of(pod: Object, model: str, start: PodStart) -> Server:
    """Return the server as its pod describes it. Secrets are references there."""
    container = pod["spec"]["containers"][0]
    # Kubernetes reads $$ as one dollar.
    words = (*(container.get("command") or ()), *(container.get("args") or ()))
    argv = tuple(str(word).replace("$$", "$") for word in words)
    variables = [f"{one['name']}={one['value']}" for one in container.get("env") or () if "value" in one]
    states = (pod.get("status") or {}).get("containerStatuses") or [{}]
    labels = pod["metadata"].get("labels") or {}
    return Server(
        name=labels.get("app.kubernetes.io/name", ""),
        start_id="",
        model=model,
        recipe=recipe_hash(model),
        plan=labels.get("slipway/plan", ""),
        layout=layout_of(argv),
        image=container["image"],
        image_name=container["image"].partition("@")[0],
        image_digest=container["image"].partition("@")[2],
        image_id=states[0].get("imageID", ""),
        argv=without_secrets(argv),
        env=environment(variables, ()),
        container=_limits(container),
        kv_cache_tokens=start.log.kv_tokens if start.log else None,
        start_seconds=start.seconds,
    )


def _limits(container: Object) -> Container:
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
        count=gpus or round(_limits(container).cpus) or threads,
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
    client_pid: int = field(default=0)

    def read(self) -> None:
        """Read nothing."""

    def restart(self) -> None:
        """Read nothing."""

    def tick(self) -> None:
        """Read nothing."""

    def host(self, hardware: Hardware, on_cpus: float = 0) -> Host:
        """Return the node."""
        return self.node


def _version(url: str) -> str:
    """Return the version that the server tells; "" if it tells none."""
    if not is_healthy(url):
        return ""
    try:
        found: Any = json.loads(request("GET", f"{url}/version", timeout=10, direct=True).read())
        return str(found["version"])
    except (Failed, ValueError, LookupError, TypeError):
        return ""
