"""What a cluster needs to know in addition to a plan: replicas, where the weights are, resources of a pod."""

from __future__ import annotations

from dataclasses import dataclass

WEIGHTS = "slipway-weights"


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of the objects of a plan. An empty field leaves the choice to Slipway."""

    replicas: int = 1
    weights: str = WEIGHTS  # a PersistentVolumeClaim that holds a Hugging Face cache
    weights_path: str = ""  # a folder of every node that is used instead of the claim
    cpu: str = ""  # of a pod, as Kubernetes writes quantities
    memory: str = ""
    products: tuple[str, ...] = ()  # labels of the nodes' GPUs, e.g. NVIDIA-H200
    run_as: int | None = 1000  # None: the cluster chooses the user, as OpenShift does
    pull_secret: str = ""  # a Secret with the login of the image's registry
    scheduler: str = ""  # of the pods; "" is the one of the cluster
    queue: str = ""  # of a scheduler or of Kueue, which starts all pods of a server or none
    topology: str = ""  # label of nodes, e.g. a rack: each group has one value of it for itself
    rdma: str = ""  # resource of a device plugin that gives a pod its RDMA adapters


DEFAULT = ClusterSettings()
