"""Run a plan on a Kubernetes cluster: check, apply, follow the start, show, remove. Nothing is printed here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from errors import Failed, Refused
from launch.deploy import apply as applying
from launch.deploy import fetch_job, preflight, server, storage
from launch.deploy import objects as cluster_objects
from launch.deploy.apply import Change
from launch.deploy.client import Cluster, Object
from launch.deploy.drain import draining
from launch.deploy.fetch_job import FetchStatus
from launch.deploy.gpu_checks import products
from launch.deploy.objects import DEFAULT, Surroundings
from launch.deploy.rdma import needs_rdma, note_on_rdma, offered
from launch.deploy.request import Problem, Request
from launch.deploy.status import Cause, Status, status
from launch.operations.cluster_image import check_image
from launch.operations.cluster_objects import notes_on, with_storage
from launch.planning.image_choice import require_fixed
from launch.plural import count
from launch.render.cluster_settings import ClusterSettings
from launch.render.health import start_seconds
from launch.spec.image_reference import is_image_id
from launch.spec.plan import FIRST_PORT, Plan

QUESTION = "What is a slipway?"
EVERY = 2.0  # seconds between two looks at the cluster
SETTLED = (
    10.0  # seconds that a final cause must last: pods are also refused while other objects are still made
)


@dataclass(frozen=True)
class Deployment:
    """A plan that passed the checks of a cluster."""

    cluster: Cluster
    plan: Plan
    settings: ClusterSettings
    documents: list[Object]
    notes: tuple[str, ...]
    around: Surroundings = DEFAULT

    @property
    def name(self) -> str:
        """The name of the server."""
        return str(self.documents[0]["metadata"]["name"])

    def apply(
        self,
        dry_run: bool = False,
        force: bool = False,
        fetch_weights: Callable[[], None] = lambda: None,
    ) -> Iterator[Change]:
        """Apply the objects; with `dry_run` the server only checks them. `fetch_weights` comes before the pods."""
        return applying.apply(self.cluster, self.documents, dry_run, force, fetch_weights)

    @property
    def fetches(self) -> bool:
        """Whether a Job fetches the weights before the server starts."""
        return bool(self.around.storage and self.around.storage.manifest)

    def wait_for_weights(self, on_status: Callable[[FetchStatus], None], timeout: int = 0) -> None:
        """Wait until the Job has fetched the weights. Raises Failed with the cause if it cannot."""
        place = self.around.storage
        assert place is not None
        fetch_job.follow(self.cluster, storage.job_name(place, self.name), place.claim, on_status, timeout)

    def diff(self, force: bool = False) -> str:
        """Return what an apply would change."""
        return applying.diff(self.cluster, self.documents, force)

    def wait(self, on_status: Callable[[Status], None], timeout: int = 0) -> Status:
        """Wait until all replicas are ready. Raises Failed with the cause if that cannot happen, or not in time."""
        return wait(self.cluster, self.name, on_status, timeout or start_seconds(self.plan))

    def answer(self) -> str:
        """Return what the server answers to a question. Raises Failed."""
        return "".join(delta.text for delta in server.ask(self.cluster, self.name, QUESTION, max_tokens=16))

    @property
    def way(self) -> str:
        """How the server is asked. Raises Failed if it cannot be."""
        return server.way_to(self.cluster, self.name)


def objects(
    plan: Plan, settings: ClusterSettings, around: Surroundings = DEFAULT
) -> tuple[Plan, list[Object]]:
    """Return the plan as a cluster gets it, and its objects. Raises Refused for an image that no node can pull."""
    require_fixed(plan)
    source = plan.image_source
    if is_image_id(plan.image) or source.origin in ("built", "not built"):
        what = f"no node can pull the image {source.name or plan.image}"
        fix = "invoke publish, then --registry; or --image REPOSITORY@sha256:DIGEST"
        raise Refused(what, why="it is not in a registry, only on this host or not built yet", fix=fix)
    if settings.topology and len(plan.processes) < 2:
        raise Refused("--topology is for a plan of several nodes", fix="leave out --topology, or use --nodes")
    plan = draining(plan.with_port(FIRST_PORT))
    return plan, cluster_objects.documents(plan, settings, around)


def prepare(
    cluster: Cluster,
    plan: Plan,
    settings: ClusterSettings,
    replacing: bool = False,
    choose: Callable[[], Surroundings] = lambda: DEFAULT,
) -> Deployment:
    """Check the cluster for this plan and change nothing. Raises Refused with all problems, or Failed.

    `choose` tells what is made around the pods, once the user is known to have access to the cluster.
    """
    _, documents = objects(plan, settings, Surroundings(network_policy=False))
    if problems := preflight.access(cluster, Request(plan, settings, documents)):
        raise _refusal(problems)
    around = choose()
    settings = _for_cluster(cluster, plan, settings, around)
    plan, documents = objects(plan, settings, around)
    problems, notes = preflight.check(cluster, Request(plan, settings, documents, replacing, around))
    missing, unknown = check_image(plan.image)
    if problems + missing:
        raise _refusal(problems + missing)
    every = (*notes, *unknown, *note_on_rdma(cluster, plan), *notes_on(around))
    return Deployment(cluster, plan, settings, documents, every, around)


def _for_cluster(
    cluster: Cluster, plan: Plan, settings: ClusterSettings, around: Surroundings
) -> ClusterSettings:
    """Return the settings with what the nodes offer, and with the claim that the pods mount."""
    rdma = offered(cluster, plan) if needs_rdma(plan) else ()
    resource = settings.rdma or next(iter(rdma), "")
    settings = with_storage(settings, around)
    return replace(settings, products=products(cluster, plan), rdma=resource)


def _refusal(problems: list[Problem]) -> Refused:
    first = problems[0]
    if len(problems) == 1:
        return Refused(first.what, why=first.why, fix=first.fix)
    lines = [f"{one.what}{f' ({one.why})' if one.why else ''}\n       next: {one.fix}" for one in problems]
    return Refused(f"the cluster cannot run this plan: {len(problems)} problems", why="\n       ".join(lines))


def wait(cluster: Cluster, name: str, on_status: Callable[[Status], None], timeout: float) -> Status:
    """Follow a start. A server of the API that does not answer for a moment does not end it."""
    end, blocked, lost = time.monotonic() + timeout, 0.0, 0.0
    while True:
        try:
            found = status(cluster, name)
            lost = 0.0
        except Failed as error:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > SETTLED:
                fix = "the server starts without it; once it answers again: invoke deploy --status"
                raise Failed(f"{error.what}, while '{name}' starts", why=error.why, fix=fix) from error
            time.sleep(EVERY)
            continue
        if found is None:
            raise Failed(f"server '{name}' was removed while it started")
        on_status(found)
        if found.complete:
            return found
        final = [cause for cause in found.causes if cause.final]
        blocked = (blocked or time.monotonic()) if final else 0.0
        if blocked and time.monotonic() - blocked >= SETTLED:
            raise _failure(found, final[0])
        if time.monotonic() >= end:
            raise _late(found, timeout)
        time.sleep(EVERY)


def _failure(found: Status, cause: Cause) -> Failed:
    what = f"'{found.name}' does not start: {cause.cause} ({count(cause.pods, 'object')})"
    return Failed(what, why=cause.evidence, fix=cause.fix)


def _late(found: Status, timeout: float) -> Failed:
    what = f"'{found.name}' is not ready after {timeout:.0f} s: {found.ready} of {count(found.desired, 'replica')}"
    if not found.causes:
        return Failed(
            what,
            why="its pods run and are still loading",
            fix=f"kubectl logs of {found.pods[0][0]}" if found.pods else "",
        )
    cause = found.causes[0]
    return Failed(f"{what}: {cause.cause}", why=cause.evidence, fix=cause.fix)
