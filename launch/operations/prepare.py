"""Provide what a container needs before it can be created: the image and the weights."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from errors import Failed, Refused
from images.build import pipeline
from launch import deadline
from launch.engine import client as engine_client
from launch.engine import images
from launch.hardware.detect import detect
from launch.operations.demo_model import endpoint_for
from launch.operations.events import Events
from launch.spec.gpu_catalog import catalog
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import require_complete

if TYPE_CHECKING:
    from docker import DockerClient

    from launch.spec.plan import Plan
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


def prepare(client: DockerClient, plan: Plan, fetch: bool, events: Events) -> None:
    """Provide image and weights at the same time, so that a new host waits only for the slower one.

    Raises Failed for an incomplete snapshot unless `fetch`, before an image of gigabytes is pulled.
    """
    missing = None if plan.local_folder else _missing_weights(plan.model)
    if missing and not fetch:
        raise missing
    image = deadline.start(lambda: _provide_image(client, plan, events, background=missing is not None))
    if missing:
        _fetch(plan.model, events, image)
    image.result()


def _provide_image(client: DockerClient, plan: Plan, events: Events, background: bool) -> None:
    """Build Slipway's own image or pull any other, unless the engine has it."""
    if images.find(client, plan.image):
        return
    if plan.image == pipeline.reference(plan.platform):
        with events.step(f"build {plan.platform} image", background) as show:
            builder = engine_client.connect(timeout=600)
            pipeline.build(builder, plan.platform, pipeline.BuildOptions(), show)
        return
    with events.step(f"pull {plan.image}", background) as show:
        images.pull(client, plan.image, show)


def _missing_weights(model: str) -> Failed | None:
    try:
        require_complete(model)
        return None
    except Failed as missing:
        return missing


def _fetch(model: str, events: Events, image: Future[None]) -> None:
    """Fetch the weights; stop as soon as the image has failed."""
    with endpoint_for(model) as endpoint, events.fetch(f"fetch {model}") as show:

        def check_and_show(progress: TransferProgress) -> None:
            if image.done():
                image.result()
            show(progress)

        fetch_model(model, endpoint=endpoint, on_progress=check_and_show)
