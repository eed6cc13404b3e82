"""How a server is queued and placed: labels and annotations that schedulers read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launch.checked_data.data_file import load
from launch.render.cluster_settings import ClusterSettings

# Its controller gives each group one value of this label of the nodes for itself.
EXCLUSIVE_TOPOLOGY = "leaderworkerset.sigs.k8s.io/exclusive-topology"
DEFAULT_SCHEDULER = "kueue"  # works with the scheduler of the cluster


@dataclass(frozen=True)
class Queue:
    """Where a scheduler reads the name of a queue: a label or an annotation with this key."""

    key: str
    place: str
    pods: bool  # whether pods have it too
    source: str


@cache
def _queues() -> dict[str, Queue]:
    return load(Path(__file__).with_name("queues.yaml"), dict[str, Queue])


def queue_metadata(settings: ClusterSettings, pod: bool = False) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and the annotations that name the queue; both are empty without one."""
    queue = _queues().get(settings.scheduler) or _queues()[DEFAULT_SCHEDULER]
    if not settings.queue or (pod and not queue.pods):
        return {}, {}
    pair = {queue.key: settings.queue}
    return (pair, {}) if queue.place == "label" else ({}, pair)


def set_annotations(settings: ClusterSettings) -> dict[str, str]:
    """Return the annotations of a LeaderWorkerSet."""
    return {EXCLUSIVE_TOPOLOGY: settings.topology} if settings.topology else {}
