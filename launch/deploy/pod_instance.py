"""A pod as a benchmark measures it: the load runs next to the server, as in a container of this host.

A load from here would measure the API server of the cluster, which copies every byte of a port-forward.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from errors import Failed, SlipwayError
from launch.bench.instance import Neighbours
from launch.bench.record import ClusterPlace, Server
from launch.bench.server import environment, layout_of, recipe_hash, without_secrets
from launch.deploy import pod_program
from launch.deploy.answers import NotFound
from launch.deploy.client import Cluster, Object
from launch.deploy.node import NodeWatch, limits_of, node_of
from launch.deploy.server import Reached
from launch.deploy.start import PodStart
from launch.deploy.start_reader import StartReader
from launch.hardware.types import Gpu
from launch.http.client import request
from launch.serving.openai_client import is_healthy


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
    words = (*(container.get("command") or ()), *(container.get("args") or ()))
    argv = tuple(_unescape(word) for word in words)
    given = [one for one in container.get("env") or () if "value" in one]
    variables = [f"{one['name']}={_unescape(one['value'])}" for one in given]
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
        container=limits_of(container),
        kv_cache_tokens=start.log.kv_tokens if start.log else None,
        start_seconds=start.seconds,
    )


def _unescape(word: str) -> str:
    """Return a word as the program gets it: Kubernetes reads $$ as one dollar."""
    return str(word).replace("$$", "$")


def _version(url: str) -> str:
    """Return the version that the server tells; "" if it tells none."""
    if not is_healthy(url):
        return ""
    try:
        found: Any = json.loads(request("GET", f"{url}/version", timeout=10, direct=True).read())
        return str(found["version"])
    except (Failed, ValueError, LookupError, TypeError):
        return ""
