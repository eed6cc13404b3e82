"""Provide what a container needs before it can be created: the image and the weights."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch import deadline
from launch.hardware.detect import detect
from launch.operations.demo_model import endpoint_for
from launch.operations.events import Events
from launch.operations.launch_options import LaunchOptions
from launch.operations.locked_models import WantedWeights, wanted_weights
from launch.operations.provide_image import provide
from launch.spec.gpu_catalog import catalog
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import require_complete

if TYPE_CHECKING:
    from docker import DockerClient

    from launch.spec.plan import Plan
    from launch.spec.plan_options import PlanOptions
    from launch.weights.progress import TransferProgress


def check_gpus(hardware: str, platform: str) -> None:
    """Raise Refused if a plan for named hardware cannot run on the GPUs of this host.

    A GPU that is in no list may be what the user says it is.
    """
    if platform == "cpu":
        return
    present = {gpu.hardware for gpu in detect().for_platform(platform).gpus}
    known = catalog()
    if present and not (hardware in known and present <= known.keys() - {hardware}):
        return
    raise Refused(
        f"the plan is for '{hardware}', and this host has no such GPU",
        why=f"this host has: {', '.join(sorted(present)) or f'no GPU for {platform}'}",
        fix=f"invoke plan --hardware {hardware} shows the plan; run it on a host with these GPUs",
    )


def prepare(
    client: DockerClient, plan: Plan, options: PlanOptions, how: LaunchOptions, events: Events
) -> None:
    """Provide image and weights at the same time, so that a new host waits only for the slower one.

    Raises Failed for an incomplete snapshot unless it may be fetched, before an image of gigabytes is pulled.
    """
    weights = wanted_weights(plan.model, plan.commit or plan.revision, options.lock)
    missing = None if plan.local_folder else _missing_weights(plan.model, weights, events)
    if missing and not how.fetch:
        raise missing
    background = missing is not None
    image = deadline.start(lambda: provide(client, plan, options, how.verify_key, events, background))
    if missing:
        _fetch(plan.model, weights, events, image)
    image.result()


def _missing_weights(model: str, weights: WantedWeights, events: Events) -> Failed | None:
    """Return why the snapshot cannot be served, or say when it was verified."""
    try:
        found = require_complete(model, weights.revision, digest=weights.digest)
    except Failed as missing:
        return missing
    events.note(f"weights: {found.files} files, last verified {found.verified}, unchanged since")
    return None


def _fetch(model: str, weights: WantedWeights, events: Events, image: Future[None]) -> None:
    """Fetch the weights; stop as soon as the image has failed."""
    with endpoint_for(model) as endpoint, events.fetch(f"fetch {model}") as show:

        def check_and_show(progress: TransferProgress) -> None:
            if image.done():
                image.result()
            show(progress)

        fetch_model(
            model,
            revision=weights.revision,
            digest=weights.digest,
            endpoint=endpoint,
            on_progress=check_and_show,
        )
