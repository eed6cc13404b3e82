"""Check the claim of the weights before anything is changed: its class, its size, whether all nodes can mount it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from launch.deploy.client import Cluster, Object
from launch.deploy.quantity import amount, pods_of
from launch.deploy.request import Problem, Request
from launch.deploy.storage import ANY_NODE, Storage
from launch.deploy.storage_table import GIB, size_gib, table
from launch.plural import count

CLASSES = "apis/storage.k8s.io/v1/storageclasses"
# The second one is that of servers before 1.6, which some installers still write.
DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def check_claim(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find a claim that does not exist, is too small, or cannot be mounted on all nodes of the plan."""
    volumes = [volume for pod, _ in pods_of(request.documents) for volume in pod["volumes"]]
    if not any(volume.get("persistentVolumeClaim") for volume in volumes):
        return
    claim = cluster.get("PersistentVolumeClaim", request.settings.weights)
    if claim is None:
        yield from _missing(cluster, request)
    else:
        yield from _unfit(claim, request)


def _missing(cluster: Cluster, request: Request) -> Iterator[Problem]:
    storage = request.around.storage
    if storage and storage.new:
        return
    what = f"no PersistentVolumeClaim '{request.settings.weights}' in namespace '{cluster.namespace}'"
    fix = "leave out --weights-claim, and Slipway makes one; docs/how-to/kubernetes.md shows how to make your own"
    yield Problem(what, f"it must hold a Hugging Face cache with {request.plan.model}", fix)


def _unfit(claim: Object, request: Request) -> Iterator[Problem]:
    name, modes = claim["metadata"]["name"], claim["spec"].get("accessModes") or []
    pods = sum(number for _, number in pods_of(request.documents))
    if claim["metadata"].get("deletionTimestamp"):
        yield Problem(f"claim '{name}' is being removed", "its pods still use it", "repeat the command later")
    if pods > 1 and not set(ANY_NODE) & set(modes):
        what = f"claim '{name}' can be mounted on one node only, and the plan has {count(pods, 'pod')}"
        fix = "a claim with ReadOnlyMany or ReadWriteMany; a claim that Slipway made: --delete --delete-weights first"
        yield Problem(what, f"its accessModes: {modes}", fix)
    storage = request.around.storage
    if storage and storage.manifest and set(modes) == {"ReadOnlyMany"}:
        why = f"its accessModes: {modes}"
        yield Problem(f"nothing can be fetched into claim '{name}'", why, "leave out --prefetch")
    yield from _too_small(claim, storage)


def _too_small(claim: Object, storage: Storage | None) -> Iterator[Problem]:
    if storage is None or storage.manifest is None:
        return
    capacity = (claim.get("status") or {}).get("capacity") or claim["spec"]["resources"]["requests"]
    has, name = amount(capacity["storage"]) / GIB, claim["metadata"]["name"]
    if has * GIB < storage.manifest.size:
        what = (
            f"claim '{name}' is too small: {has:.4g} GiB for {storage.manifest.size / GIB:.4g} GiB of weights"
        )
        why = f"with the reserve, {size_gib(storage.manifest.size)} GiB are needed"
        yield Problem(what, why, f"enlarge it with kubectl edit pvc {name}, or use another --weights-claim")


def check_storage_class(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find a class that does not exist, no default, and a class of disks for a claim of several nodes."""
    storage = request.around.storage
    if not (storage and storage.new) or cluster.get("PersistentVolumeClaim", storage.claim):
        return
    classes = cluster.request("GET", CLASSES)["items"]
    names = ", ".join(sorted(one["metadata"]["name"] for one in classes)) or "none"
    chosen = _chosen(classes, storage.storage_class)
    if chosen is None and storage.storage_class:
        fix = f"--storage-class with one of the cluster: {names}"
        yield Problem(f"the cluster has no storage class '{storage.storage_class}'", fix=fix)
    elif chosen is None:
        what = "the cluster has no default storage class for the claim of the weights"
        yield Problem(what, f"its classes: {names}", "--storage-class NAME, or --weights-claim NAME")
    else:
        yield from _one_node(chosen, request)


def _chosen(classes: list[Object], name: str) -> Object | None:
    """Return the named class, else the default one."""
    if name:
        return next((one for one in classes if one["metadata"]["name"] == name), None)
    notes = [(one, one["metadata"].get("annotations") or {}) for one in classes]
    return next((one for one, own in notes if any(own.get(key) == "true" for key in DEFAULT)), None)


def _one_node(chosen: Object, request: Request) -> Iterator[Problem]:
    pods = sum(number for _, number in pods_of(request.documents))
    driver = next((row for row in table().one_node if row.driver == chosen["provisioner"]), None)
    if driver and pods > 1:
        name = chosen["metadata"]["name"]
        what = f"storage class '{name}' has disks of one node, and the plan has {count(pods, 'pod')}"
        fix = "--storage-class with a shared file system, such as NFS, CephFS or Lustre"
        yield Problem(what, f"{driver.driver} cannot make ReadWriteMany volumes", fix)


def storage_needs(cluster: Cluster, request: Request) -> dict[str, Decimal]:
    """Return what a claim that is not there yet asks for, by the names that a quota uses."""
    kind = "PersistentVolumeClaim"
    wanted = [one for one in request.documents if one["kind"] == kind]
    claims = [one for one in wanted if cluster.get(kind, one["metadata"]["name"]) is None]
    sizes = [(one, amount(one["spec"]["resources"]["requests"]["storage"])) for one in claims]
    total: dict[str, Decimal] = {}
    for claim, size in sizes:
        own = claim["spec"].get("storageClassName", "")
        prefixes = ("", f"{own}.storageclass.storage.k8s.io/") if own else ("",)
        for prefix in prefixes:
            total[f"{prefix}requests.storage"] = size
            total[f"{prefix}persistentvolumeclaims"] = Decimal(1)
    return total
