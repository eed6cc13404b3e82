"""`invoke deploy`: run a plan on a Kubernetes cluster, show what it does there, and remove it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands.deploy_objects import applied, deleted, settings_of, write
from commands.output import bar, emit, say, show, table
from commands.shared_options import FORMATS, OUTPUT, DryRun
from commands.task import verb
from errors import Refused
from launch.deploy.object_options import ObjectOptions
from launch.operations.weights_place import WeightsPlace
from launch.spec.control_characters import one_line
from launch.spec.option import Option
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from launch.deploy.apply import Change
    from launch.deploy.fetch_job import FetchStatus
    from launch.deploy.status import Status
    from launch.operations.deploy import Deployment
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
    logs: Annotated[bool, Option("show the logs of the server's pods", group=ACTION)] = False,
    wait: Annotated[
        str,
        Option(
            "answer: wait until the server answers a question; ready: until its pods are ready; no: return at once",
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
        _show_changes(
            deleted(connect(namespace, context), name, objects.delete_weights, dry_run), dry_run, format
        )
    elif ask or logs:
        _reach(namespace, context, name, ask)
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
        _show_changes(applied(prepared, dry_run, force, timeout), dry_run, format)
        for warning in prepared.cluster.warnings:
            say(f"warning of the cluster: {warning}")
        if wait != "no" and not dry_run:
            _follow(prepared, wait, timeout)


def _follow(prepared: Deployment, wait: str, timeout: int) -> None:
    """Wait until the server is ready, and ask it a question."""
    with bar(f"start {prepared.name}") as progress:
        ready = prepared.wait(lambda seen: progress.update(seen.ready, seen.desired, _summary(seen)), timeout)
    if wait == "answer" and prepared.has_key:
        say("note: not asked a question, because the API server of the cluster cannot pass the API key on")
    elif wait == "answer":
        say(f"answer through its Service: {one_line(prepared.answer())[:60]!r}")
    say(f"{prepared.plan.model} serves at {ready.address}/v1 inside the cluster")


def _reach(namespace: str, context: str, name: str, question: str) -> None:
    from launch.deploy import server
    from launch.deploy.client import connect

    cluster = connect(namespace, context)
    if question:
        show(server.ask(cluster, name, question))
        return
    for pod, text in server.logs(cluster, name):
        say(f"{pod}:")
        print(text, end="")


def _plan(options: PlanOptions) -> Plan:
    from launch.operations.plan_inputs import plan_of

    return plan_of(options)


def _summary(found: Status) -> str:
    states = f"{found.ready} of {found.desired} ready"
    return f"{states}; {found.causes[0].cause}" if found.causes else states


def _show_changes(changes: Iterable[Change], dry_run: bool, format: str) -> None:
    if format == "json":
        emit([asdict(change) for change in changes])
        return
    for change in changes:
        show(f"{change.kind} {change.name} {change.action}{' (dry run)' if dry_run else ''}")


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
        emit({**asdict(found), "complete": found.complete})
        return
    show(f"{found.kind} {found.name}: {found.ready} of {found.desired} replicas ready, {found.address}")
    if found.pods:
        show(table(("POD", "NODE", "PHASE"), found.pods))
    for cause in found.causes:
        show(f"why: {cause.cause} ({cause.pods})\n  {cause.evidence}\n  next: {cause.fix}")


def _show_fetch(fetching: FetchStatus, format: str) -> None:
    """Show the Job of a server that is not there yet."""
    if format == "json":
        emit({"job": fetching.name, "phase": fetching.phase, "done": fetching.done, "total": fetching.total})
        return
    show(f"Job {fetching.name} {fetching.summary}; `invoke deploy` again starts the server after it")
