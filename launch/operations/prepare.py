"""What a start needs before it can begin: the image and the weights, at the same time, each with its bar."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from commands.output import bar
from errors import Failed

if TYPE_CHECKING:
    from launch.spec.plan import Plan


def ensure_both(client: Any, wanted: Plan, fetch: bool) -> None:
    """Image and weights at the same time, each with its bar: a bare host waits for the slower one only.

    An incomplete snapshot is refused here, before an image of gigabytes is pulled and minutes of loading begin.
    """
    missing = _missing_weights(wanted)
    if missing and not fetch:
        raise missing
    images = Aside(lambda: _ensure_image(client, wanted, plain=missing is not None))
    if missing:
        _fetch(wanted.model, images.check)
    images.wait()


class Aside:
    """Work in a thread that nobody waits for when something else went wrong, or the user wants to stop."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised again where it is waited for
            self._error = error

    def check(self) -> None:
        """Raise what the work raised, if it is over."""
        if self._error:
            raise self._error

    def wait(self) -> None:
        """Until it is done; a signal still gets through."""
        while self._thread.is_alive():
            self._thread.join(0.2)
        self.check()


def _ensure_image(client: Any, wanted: Plan, plain: bool) -> None:
    """Build our own image, pull anybody else's, where it is not here."""
    from images.build import pipeline
    from launch.engine import images

    if images.find(client, wanted.image):
        return
    if wanted.image == pipeline.reference(wanted.platform):
        from commands.build import run_build

        run_build(wanted.platform, pipeline.BuildOptions(), plain)
        return
    with bar(f"pull {wanted.image}", plain) as progress:
        images.pull(client, wanted.image, progress.update)


def _missing_weights(wanted: Plan) -> Failed | None:
    from launch import weights

    try:
        weights.check(wanted.model)
        return None
    except Failed as missing:
        return missing


def _fetch(model: str, check: Callable[[], None]) -> None:
    from commands.fetch_progress import progress
    from launch import weights

    with progress(f"fetch {model}") as show:

        def show_and_check(meter: Any) -> None:
            check()
            show(meter)

        weights.fetch(model, show=show_and_check)
