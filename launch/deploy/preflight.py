"""Check a cluster before anything is changed: rights, kinds, namespace, quota, limits, GPUs, claim, Secret.

What a user may not read is not checked, and a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from launch.deploy.answers import Forbidden, NotFound
from launch.deploy.client import KINDS, Cluster, Object
from launch.deploy.pod_security import violations
from launch.deploy.quantity import amount, job_pods, needs, pods_of, readable
from launch.deploy.rdma import check_rdma
from launch.deploy.request import Problem, Request
from launch.deploy.storage_checks import check_claim, check_storage_class, storage_needs
from launch.plural import count
from launch.render.kubernetes import MANAGED_BY, MANAGER
from launch.render.pod import API_KEY
from launch.render.pod_resources import PodResources, resources_of
from launch.spec.gpu_catalog import catalog
from launch.spec.plan import Plan

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
        missing = [verb for verb in ("create", "patch", "delete") if not _may(cluster, verb, group, plural)]
        if missing:
            what = f"this user may not {', '.join(missing)} {plural} in namespace '{cluster.namespace}'"
            own = f"; {LEFT_OUT_BY[kind]}" if kind in LEFT_OUT_BY else ""
            fix = f"ask for a role with these rights, or use another --namespace{own}"
            yield Problem(what, "SelfSubjectAccessReview", fix)


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


def products(cluster: Cluster, plan: Plan) -> tuple[str, ...]:
    """Return the GPU labels of nodes that name the planned hardware; () if none does or nodes cannot be read."""
    device = resources_of(plan).device
    if not device:
        return ()
    try:
        labels = {_product(node, device) for node in cluster.request("GET", "api/v1/nodes")["items"]}
    except Forbidden:
        return ()
    return tuple(sorted(label for label in labels if label and _names(label, plan.hardware)))


def _product(node: Object, device: str) -> str:
    return str((node["metadata"].get("labels") or {}).get(f"{device}.product", ""))


def _names(label: str, hardware: str) -> bool:
    """Return whether a label names this hardware: NVIDIA-H200 and h200, NVIDIA-A100-SXM4-40GB and a100_40gb."""
    words = set(re.split(r"[^a-z0-9]+", label.lower()))
    profile = catalog().get(hardware)
    names = (hardware, *(profile.also if profile else ()))
    return any(set(re.split(r"[^a-z0-9]+", name)) <= words for name in names if name)


def _gpus(cluster: Cluster, request: Request) -> Iterator[Problem]:
    need = resources_of(request.plan)
    if not need.device:
        return
    nodes = cluster.request("GET", "api/v1/nodes")["items"]
    having = [node for node in nodes if _allocatable(node, need.device)]
    if not having:
        fix = f"install the device plugin that offers {need.device}"
        yield Problem(
            f"no node of the cluster offers {need.device}", f"{count(len(nodes), 'node')} checked", fix
        )
        return
    labels = {_product(node, need.device) for node in having}
    wanted = [node for node in having if _names(_product(node, need.device), request.plan.hardware)]
    if "" not in labels and request.plan.hardware and not wanted:
        fix = f"plan for the GPUs of the cluster: --hardware NAME (it has {', '.join(sorted(labels))})"
        yield Problem(
            f"the cluster has no {request.plan.hardware} GPUs", f"{need.device}.product of its nodes", fix
        )
        return
    yield from _too_few(cluster, request, need, wanted or having)


def _allocatable(node: Object, device: str) -> int:
    return int((node.get("status", {}).get("allocatable") or {}).get(device, 0))


def _too_few(
    cluster: Cluster, request: Request, need: PodResources, nodes: list[Object]
) -> Iterator[Problem]:
    """Compare the free GPUs of each node with what a pod needs. Pods of this server do not count."""
    used: dict[str, int] = {}
    for pod in cluster.request("GET", "api/v1/pods")["items"]:
        meta, node = pod["metadata"], pod["spec"].get("nodeName", "")
        own = (meta.get("labels") or {}).get("app.kubernetes.io/name") == request.name
        ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if not (own and meta["namespace"] == cluster.namespace) and not ended:
            used[node] = used.get(node, 0) + _asked(pod, need.device)
    free = [_allocatable(node, need.device) - used.get(node["metadata"]["name"], 0) for node in nodes]
    several = request.documents[0]["kind"] == "LeaderWorkerSet"  # whose pods are on different nodes
    places = sum(min(1, gpus // need.gpus) if several else gpus // need.gpus for gpus in free)
    pods = sum(number for _, number in pods_of(request.documents))
    if places < pods:
        what = f"too few free GPUs: {count(pods, 'pod')} with {need.gpus} each, and the nodes have space for {places}"
        why = f"free {need.device} by node: {', '.join(map(str, sorted(free, reverse=True)[:8]))}"
        yield Problem(what, why, "fewer --replicas or --gpus, or wait until other pods end")


def _asked(pod: Object, device: str) -> int:
    amounts = ((c.get("resources") or {}).get("limits") or {} for c in pod["spec"]["containers"])
    return sum(int(one.get(device, 0)) for one in amounts)


def _secret(cluster: Cluster, request: Request) -> Iterator[Problem]:
    yield from _other_secrets(cluster, request)
    if request.plan.container.env_files and cluster.get("Secret", API_KEY) is None:
        file = request.plan.container.env_files[0]
        fix = (
            f"kubectl --namespace {cluster.namespace} create secret generic {API_KEY} --from-env-file={file}"
        )
        yield Problem(
            f"no Secret '{API_KEY}' in namespace '{cluster.namespace}'", "it holds the API key", fix
        )


def _other_secrets(cluster: Cluster, request: Request) -> Iterator[Problem]:
    storage = request.around.storage
    options = {
        "--pull-secret": request.settings.pull_secret,
        "--hub-secret": storage.hub_secret if storage else "",
    }
    for flag, name in options.items():
        if name and cluster.get("Secret", name) is None:
            kind = "docker-registry" if flag == "--pull-secret" else "generic"
            fix = f"kubectl --namespace {cluster.namespace} create secret {kind} {name}"
            fix += " --from-file=token=FILE" if kind == "generic" else " --docker-server=HOST"
            yield Problem(f"no Secret '{name}' in namespace '{cluster.namespace}'", f"{flag} names it", fix)


CHECKS: dict[str, Callable[[Cluster, Request], Iterator[Problem]]] = {
    "LeaderWorkerSet": _kinds,
    "Pod Security": _pod_security,
    "objects of this name": _other_shape,
    "quota": _quota,
    "LimitRange": _limits,
    "GPUs": _gpus,
    "claim of the weights": check_claim,
    "storage class": check_storage_class,
    "RDMA": check_rdma,
    "Secret": _secret,
}
