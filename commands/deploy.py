"""`invoke deploy`: run a plan on a Kubernetes cluster, show what it does there, and remove it."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands import deploy_start
from commands.bench import MOST_REPEATS, scale_of
from commands.deploy_objects import applied, deleted, settings_of, write
from commands.output import emit, say, show, table
from commands.shared_options import FORMATS, OUTPUT, DryRun
from commands.task import verb
from errors import Refused
from launch.deploy.object_options import ObjectOptions
from launch.operations.weights_place import WeightsPlace
from launch.spec.option import Option
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from launch.deploy.fetch_job import FetchStatus
    from launch.spec.plan import Plan

CLUSTER, ACTION = "Cluster", "Action"
QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|[kMGT]i?)?")


def _quantity(label: str, given: Any) -> str:
    """Return an amount as Kubernetes writes it."""
    if not QUANTITY.fullmatch(str(given)):
        raise Refused(f"{label} must be an amount such as 16 or 200Gi (got '{str(given)[:60]}')")
    return str(given)


def _user(label: str, given: Any) -> str:
    """Return the number of a user, or `cluster`."""
    text = str(given)
    if text != "cluster" and not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise Refused(
            f"{label} must be the number of a user that is not root, or cluster (got '{text[:60]}')"
        )
    return text


@verb()
def deploy(
    c: Context,
    options: PlanOptions,
    objects: ObjectOptions,
    replicas: Annotated[
        int, Option("number of copies of the plan", group=CLUSTER, minimum=1, maximum=1000)
    ] = 1,
    namespace: Annotated[
        str,
        Option("namespace (default: that of the kubeconfig)", metavar="NAME", group=CLUSTER, setting=True),
    ] = "",
    context: Annotated[
        str,
        Option(
            "context of the kubeconfig (default: the current one)",
            metavar="NAME",
            group=CLUSTER,
            setting=True,
        ),
    ] = "",
    weights_claim: Annotated[
        str,
        Option(
            "claim that holds the weights (default: slipway-weights if it exists, else one is made)",
            metavar="NAME",
            group=CLUSTER,
            setting=True,
        ),
    ] = "",
    weights_path: Annotated[
        str,
        Option(
            "folder with the weights on every node, used instead of a claim", metavar="PATH", group=CLUSTER
        ),
    ] = "",
    cpu: Annotated[
        str,
        Option(
            "number of CPUs of a pod (default: from the plan)",
            metavar="AMOUNT",
            group=CLUSTER,
            parse=_quantity,
        ),
    ] = "",
    memory: Annotated[
        str,
        Option("memory of a pod (default: from the plan)", metavar="AMOUNT", group=CLUSTER, parse=_quantity),
    ] = "",
    run_as: Annotated[
        str,
        Option(
            "user of the pods; cluster: the cluster chooses, as OpenShift does",
            metavar="NUMBER|cluster",
            group=CLUSTER,
            parse=_user,
        ),
    ] = "1000",
    diff: Annotated[bool, Option("show what would change on the cluster", group=ACTION)] = False,
    status: Annotated[bool, Option("show the server and why its pods do not run", group=ACTION)] = False,
    delete: Annotated[bool, Option("remove the server from the cluster", group=ACTION)] = False,
    output: Annotated[
        str, Option("write the objects to this folder for kustomize", metavar="DIR", group=ACTION)
    ] = "",
    replace: Annotated[
        bool, Option("replace a server of this name on another platform", group=ACTION)
    ] = False,
    force: Annotated[bool, Option("take over fields that another program manages", group=ACTION)] = False,
    ask: Annotated[str, Option("ask the server a question", metavar="TEXT", group=ACTION)] = "",
    bench: Annotated[
        str,
        Option("measure the server with a load of `invoke bench`, e.g. chat", metavar="PRESET", group=ACTION),
    ] = "",
    scale: Annotated[
        float,
        Option(
            "factor for the load of --bench, e.g. 0.02; small is 0.1",
            metavar="NUMBER",
            group=ACTION,
            parse=scale_of,
        ),
    ] = 1.0,
    repeat: Annotated[
        int, Option("number of runs of --bench", group=ACTION, minimum=1, maximum=MOST_REPEATS)
    ] = 1,
    logs: Annotated[bool, Option("show the logs of the server's pods", group=ACTION)] = False,
    wait: Annotated[
        str,
        Option(
            "answer: wait until the server answers a question; ready: until its pods are ready; "
            "no: return when the weights are fetched and the objects made",
            choices=("answer", "ready", "no"),
            group=ACTION,
        ),
    ] = "answer",
    timeout: Annotated[
        int,
        Option("seconds to wait (default: from the plan)", metavar="SECONDS", group=ACTION),
    ] = 0,
    dry_run: DryRun = False,
    format: Annotated[str, Option("output format", choices=FORMATS, group=OUTPUT)] = "text",
) -> None:
    """Run a plan on a Kubernetes cluster.

    One node becomes a Deployment, several become a LeaderWorkerSet. The cluster is checked before anything is changed.

    invoke deploy --hardware h200 --gpus 8 --replicas 2
    invoke deploy --hardware h200 --nodes 2 --namespace models --diff
    invoke deploy --hardware h200 --nodes 2 --output overlays/m2
    invoke deploy --status
    invoke deploy --ask "What is a slipway?"
    invoke deploy --bench chat --scale small
    invoke deploy --delete
    """
    actions = [
        name
        for name, on in (
            ("diff", diff),
            ("status", status),
            ("delete", delete),
            ("output", output),
            ("ask", ask),
            ("bench", bench),
            ("logs", logs),
        )
        if on
    ]
    if len(actions) > 1:
        raise Refused(f"--{actions[0]} and --{actions[1]} cannot be used together", fix=f"--{actions[0]}")
    if not Path(weights_path or "/").is_absolute():
        raise Refused(f"--weights-path must be an absolute path (got '{weights_path[:60]}')")
    if objects.delete_weights and not delete:
        raise Refused("--delete-weights is a part of --delete", fix="--delete --delete-weights")
    user = None if run_as == "cluster" else int(run_as)
    settings = settings_of(objects, replicas, weights_path, cpu, memory, user)
    place = WeightsPlace(weights_claim, weights_path, options.lock)
    if output:
        write(_plan(options), settings, place, objects, namespace, output, dry_run)
        return
    from launch.deploy.client import connect
    from launch.operations import cluster_objects
    from launch.operations import deploy as operation
    from launch.render.pod import name_for

    name = name_for(options.name, options.model)
    if delete:
        removed = deleted(connect(namespace, context), name, objects.delete_weights, dry_run)
        deploy_start.show_changes(removed, dry_run, format)
    elif ask or logs:
        deploy_start.show_answer_or_logs(connect(namespace, context), name, ask)
    elif bench:
        from commands.deploy_bench import Load, measure

        measure(connect(namespace, context), name, Load(bench, scale, repeat), format)
    elif status:
        _show_status(namespace, context, name, format)
    else:
        made = _plan(options)
        operation.objects(made, settings)  # a wrong plan is refused before a cluster is asked
        cluster = connect(namespace, context)
        choose = partial(cluster_objects.surroundings, made, place, objects, cluster)
        prepared = operation.prepare(cluster, made, settings, replace, choose)
        for note in prepared.notes:
            say(f"note: {note}")
        if diff:
            print(prepared.diff(force) or "no change")
            return
        how = deploy_start.How(dry_run, wait, timeout, format)
        deploy_start.apply(prepared, applied(prepared, dry_run, force, timeout), how)


def _plan(options: PlanOptions) -> Plan:
    from launch.operations.plan_inputs import plan_of

    return plan_of(options)


def _show_status(namespace: str, context: str, name: str, format: str) -> None:
    from launch.deploy.client import connect
    from launch.deploy.fetch_job import fetch_of
    from launch.deploy.status import status

    cluster = connect(namespace, context)
    found = status(cluster, name)
    if found is None and (fetching := fetch_of(cluster, name)):
        _show_fetch(fetching, format)
        return
    if found is None:
        what = f"no server '{name}' in namespace '{cluster.namespace}'"
        raise Refused(what, fix="invoke deploy, or --name and --namespace of the server")
    if format == "json":
        emit({**asdict(found), "complete": found.complete, "start": deploy_start.facts(cluster, name)})
        return
    show(f"{found.kind} {found.name}: {found.ready} of {found.desired} replicas ready, {found.address}")
    if found.pods:
        show(table(("POD", "NODE", "PHASE"), found.pods))
    if not found.complete:
        deploy_start.show_start(cluster, name)
    for cause in found.causes:
        show(f"why: {cause.cause} ({cause.pods})\n  {cause.evidence}\n  next: {cause.fix}")


def _show_fetch(fetching: FetchStatus, format: str) -> None:
    """Show the Job of a server that is not there yet."""
    if format == "json":
        amounts = {"done": fetching.done, "total": fetching.total}
        emit(
            {
                "job": fetching.name,
                "phase": fetching.phase,
                **amounts,
                "why": fetching.why,
                "next": fetching.fix,
            }
        )
        return
    show(f"Job {fetching.name} {fetching.summary}; `invoke deploy` again starts the server after it")
    if fetching.fix:
        show(f"  next: {fetching.fix}")
