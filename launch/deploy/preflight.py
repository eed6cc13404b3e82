"""Check a cluster before anything is changed: rights, kinds, namespace, quota, limits, GPUs, claim, Secret.

What a user may not read is not checked, and a note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from launch.deploy.answers import Forbidden, NotFound
from launch.deploy.client import KINDS, Cluster
from launch.deploy.gpu_checks import check_gpus
from launch.deploy.pod_security import violations
from launch.deploy.quantity import amount, job_pods, needs, pods_of, readable
from launch.deploy.rdma import check_rdma
from launch.deploy.request import Problem, Request
from launch.deploy.secret_checks import check_secrets
from launch.deploy.storage_checks import check_claim, check_storage_class, storage_needs
from launch.render.kubernetes import MANAGED_BY, MANAGER

ENFORCE = "pod-security.kubernetes.io/enforce"
REVIEWS = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SETS = "apis/leaderworkerset.x-k8s.io/v1"
SHAPES = ("Deployment", "LeaderWorkerSet")
# How a user who may not make an object does without it.
LEFT_OUT_BY = {
    "NetworkPolicy": "--network-policy no makes none",
    "ServiceMonitor": "--monitoring no makes none",
    "Job": "--weights-claim NAME with the weights needs none",
}


def check(cluster: Cluster, request: Request) -> tuple[list[Problem], list[str]]:
    """Return the problems, and notes on what could not be checked. Raises Failed if the cluster does not answer."""
    problems, notes = access(cluster, request), []
    if problems:  # each further check would fail for the same reason
        return problems, []
    for title, run in CHECKS.items():
        try:
            problems += run(cluster, request)
        except Forbidden as error:
            notes.append(f"not checked: {title} ({error.why or error.what})")
    return problems, notes


def access(cluster: Cluster, request: Request) -> list[Problem]:
    """Return what the user may not do. Raises Failed if the cluster does not answer."""
    cluster.request("GET", "version")
    return list(_rights(cluster, request))


def _rights(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find what the user may not do, and a missing namespace."""
    try:
        cluster.request("GET", f"api/v1/namespaces/{cluster.namespace}")
    except NotFound:
        fix = f"kubectl create namespace {cluster.namespace}"
        yield Problem(f"namespace '{cluster.namespace}' does not exist", fix=fix)
        return
    except Forbidden:
        pass  # many users may not read the namespace that they work in
    for kind in dict.fromkeys(document["kind"] for document in request.documents):
        group, plural = KINDS[kind]
        missing = [verb for verb in VERBS.get(kind, ALL) if not _may(cluster, verb, group, plural)]
        if missing:
            what = f"this user may not {', '.join(missing)} {plural} in namespace '{cluster.namespace}'"
            own = f"; {LEFT_OUT_BY[kind]}" if kind in LEFT_OUT_BY else ""
            fix = f"ask for a role with these rights, or use another --namespace{own}"
            yield Problem(what, "SelfSubjectAccessReview", fix)


ALL = ("create", "patch", "delete")
VERBS = {
    "PersistentVolumeClaim": ("get", "create", "patch"),
    "Job": ("get", *ALL),
}  # a claim is never deleted


def _may(cluster: Cluster, verb: str, group: str, plural: str) -> bool:
    name = group.split("/")[1] if group.startswith("apis/") else ""
    attributes = {"namespace": cluster.namespace, "verb": verb, "group": name, "resource": plural}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = cluster.request("POST", REVIEWS, body={**review, "spec": {"resourceAttributes": attributes}})
    return bool(answer["status"].get("allowed"))


def _kinds(cluster: Cluster, request: Request) -> Iterator[Problem]:
    if request.around.monitor and not cluster.serves(KINDS["ServiceMonitor"][0]):
        what = "the cluster has no ServiceMonitor, which --monitoring needs"
        yield Problem(what, "Prometheus Operator is not installed", "--monitoring no")
    if request.documents[0]["kind"] != "LeaderWorkerSet":
        return
    try:
        cluster.request("GET", SETS)
    except NotFound:
        what = "the cluster has no LeaderWorkerSet, which several nodes need"
        url = "https://lws.sigs.k8s.io/docs/installation/"
        yield Problem(what, "its CRD and controller are not installed", f"install it as {url} describes")


def _pod_security(cluster: Cluster, request: Request) -> Iterator[Problem]:
    space = cluster.request("GET", f"api/v1/namespaces/{cluster.namespace}")
    level = (space["metadata"].get("labels") or {}).get(ENFORCE, "privileged")
    pods = [pod for pod, _ in pods_of(request.documents)] + list(job_pods(request.documents))
    found = {text: None for pod in pods for text in violations(pod, level)}
    if found:
        what = f"namespace '{cluster.namespace}' enforces Pod Security '{level}', which refuses the pods"
        fix = "--access least without --weights-path, or a namespace with another level"
        if "capability IPC_LOCK" in found:
            fix = f"--access rdma needs IPC_LOCK to keep memory in place for its adapters: {fix}"
        yield Problem(what, ", ".join(found), fix)


def _other_shape(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Refuse to turn a server into another one by its name alone."""
    for kind in SHAPES:
        live = cluster.get(kind, request.name)
        labels = (live or {}).get("metadata", {}).get("labels") or {}
        if live and labels.get(MANAGED_BY) != MANAGER:
            what = f"{kind} '{request.name}' exists, and Slipway did not make it"
            yield Problem(what, f"its label {MANAGED_BY} is not {MANAGER}", "use another --name")
        elif live and labels.get("slipway/platform") != request.plan.platform and not request.replace:
            what = f"{kind} '{request.name}' runs on {labels.get('slipway/platform')}, not {request.plan.platform}"
            yield Problem(what, "the same name would replace it", "use another --name, or --replace")


def _quota(cluster: Cluster, request: Request) -> Iterator[Problem]:
    live = [found for kind in SHAPES if (found := cluster.get(kind, request.name))]
    mine = needs(live)
    need = {**needs(request.documents), **storage_needs(cluster, request)}
    for quota in cluster.list("ResourceQuota"):
        hard, used = quota["spec"].get("hard") or {}, (quota.get("status") or {}).get("used") or {}
        for name in sorted(hard.keys() & need.keys()):
            free = amount(hard[name]) - amount(used.get(name, "0")) + mine.get(name, Decimal(0))
            if need[name] > free:
                what = f"quota '{quota['metadata']['name']}' leaves too little {name}"
                why = f"{readable(name, need[name])} needed, {readable(name, max(free, Decimal(0)))} free"
                yield Problem(what, why, f"ask for more {name}, or use another --namespace")


def _limits(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find a LimitRange that refuses the containers."""
    rules = [
        (limits["metadata"]["name"], one)
        for limits in cluster.list("LimitRange")
        for one in limits["spec"]["limits"]
        if one["type"] in ("Container", "Pod")
    ]
    asked = {
        name: text
        for pod, _ in pods_of(request.documents)
        for name, text in pod["containers"][0]["resources"]["limits"].items()
    }
    for label, rule in rules:
        for name, most in (rule.get("max") or {}).items():
            if name in asked and amount(asked[name]) > amount(most):
                why = f"{asked[name]} needed, {most} allowed"
                fix = "--cpu or --memory with less, or another --namespace"
                yield Problem(
                    f"LimitRange '{label}' allows too little {name} for a {rule['type'].lower()}", why, fix
                )


CHECKS: dict[str, Callable[[Cluster, Request], Iterator[Problem]]] = {
    "LeaderWorkerSet": _kinds,
    "Pod Security": _pod_security,
    "objects of this name": _other_shape,
    "quota": _quota,
    "LimitRange": _limits,
    "GPUs": check_gpus,
    "claim of the weights": check_claim,
    "storage class": check_storage_class,
    "RDMA": check_rdma,
    "Secret": check_secrets,
}
