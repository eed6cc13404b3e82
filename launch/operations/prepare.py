"""Provide what a container needs before it can be created: the image and the weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from errors import Failed
from images.build import pipeline
from launch.engine import client as engine_client
from launch.engine import images
from launch.operations.events import Events
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import require_complete

if TYPE_CHECKING:
    from docker import DockerClient

    from launch.spec.plan import Plan
    from launch.weights.progress import TransferProgress


def prepare(client: DockerClient, plan: Plan, fetch: bool, events: Events) -> None:
    """Provide image and weights at the same time, so that a new host waits only for the slower one.

    Raises Failed for an incomplete snapshot unless `fetch`, before an image of gigabytes is pulled.
    """
    missing = _missing_weights(plan.model)
    if missing and not fetch:
        raise missing
    image = Background(lambda: _provide_image(client, plan, events, background=missing is not None))
    if missing:
        _fetch(plan.model, events, image.check)
    image.wait()


class Background:
    """Work in a daemon thread: a failure elsewhere or Ctrl-C does not wait for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # check() raises it in the thread that waits
            self._error = error

    def check(self) -> None:
        """Raise what the work has raised so far."""
        if self._error:
            raise self._error

    def wait(self) -> None:
        """Wait until the work is done, and raise what it raised."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # a join without a timeout would hold back Ctrl-C
        self.check()


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


def _fetch(model: str, events: Events, check: Callable[[], None]) -> None:
    """Fetch the weights; stop as soon as `check` raises that the image has failed."""
    with events.fetch(f"fetch {model}") as show:

        def check_and_show(progress: TransferProgress) -> None:
            check()
            show(progress)

        fetch_model(model, on_progress=check_and_show)
