"""Follow the starts of the pods of a server: read their status and logs from the cluster while they start."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from errors import SlipwayError
from launch.deploy.client import Cluster, Object
from launch.deploy.start import PodStart

LOG_BYTES = 4 << 20  # of one request; the next one continues there


@dataclass
class StartReader:
    """The starts of the pods of one server that answer requests."""

    cluster: Cluster
    name: str
    _starts: dict[str, PodStart] = field(default_factory=dict)

    def read(self) -> PodStart | None:
        """Return the start that is furthest behind; None if there is no pod.

        Only the log of that pod is read, so a look costs the same for any number of pods. A cluster that does not
        answer for a moment leaves what was read before.
        """
        with suppress(SlipwayError):
            self._read_status()
        if not self._starts:
            return None
        last = min(self._starts.values(), key=lambda start: (start.index, -start.ready_at))
        with suppress(SlipwayError):
            self._read_log(last)
        return last

    def of_pod(self, pod: Object) -> PodStart:
        """Return the start of a pod that is ready."""
        start = PodStart(pod["metadata"]["name"])
        with suppress(SlipwayError):
            start.read_status(pod, self.cluster.list("Event"))
            self._read_log(start)
        return start

    def _read_status(self) -> None:
        pods = [
            pod for pod in self.cluster.list("Pod", f"app.kubernetes.io/name={self.name}") if has_api(pod)
        ]
        events = self.cluster.list("Event")
        known = self._starts
        self._starts = {}
        for pod in pods:
            if pod["metadata"].get("deletionTimestamp"):
                continue
            uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
            self._starts[uid] = known.get(uid) or PodStart(name)
            self._starts[uid].read_status(pod, events)

    def _read_log(self, start: PodStart) -> None:
        """Read what was logged since the last look. The log of a container that has not begun is not asked for."""
        if start.log is None or start.log.in_last_phase:
            return
        query = {"container": "vllm", "timestamps": "true", "limitBytes": LOG_BYTES}
        if start.last:
            query["sinceTime"] = f"{start.last[:19]}Z"  # whole seconds: some lines come twice
        path = f"{self.cluster.path('Pod', start.name)}/log"
        start.read_log(self.cluster.read("GET", path, query).decode(errors="replace"))


def has_api(pod: Object) -> bool:
    """Whether a pod answers requests: a worker without an API has no probe."""
    return "readinessProbe" in pod["spec"]["containers"][0]
