"""`invoke pin --check`: show which pinned inputs still exist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commands.output import bar, emit, say, show, table
from errors import Failed, Refused

if TYPE_CHECKING:
    from images.lock.check import CheckedInput
    from images.lock.pin import Sources
    from images.lock.schema import Lock, LockedImage, LockedModel


def run(
    lock: Lock, folder: Path, platform: str, channel: str, model: str, sources: Sources, format: str
) -> None:
    """Check the selected images and models. Raises Failed if an input is gone; an unknown one is only reported."""
    from images.lock.check import check_image
    from launch.operations.locked_models import check_models

    images, models = _selected(lock, platform, channel, model)
    found: list[CheckedInput] = []
    with bar("check the pinned inputs") as progress:
        for image in images:
            found += check_image(image, folder, sources, lambda line: progress.update(0, None, line))
        found += check_models(models)
    gone = [one for one in found if one.state == "gone"]
    if format == "json":
        emit({"inputs": [one.as_dict() for one in found], "ok": not gone})
    else:
        _show(found)
    if gone:
        raise Failed(
            f"{len(gone)} of {len(found)} pinned inputs no longer exist",
            why=", ".join(dict.fromkeys(one.key for one in gone)),
            fix=gone[0].fix,
        )


def _selected(
    lock: Lock, platform: str, channel: str, model: str
) -> tuple[tuple[LockedImage, ...], dict[str, LockedModel]]:
    """Return the images and models to check: all, unless a platform, a channel or a model is given."""
    from images.lock.pin_options import PinOptions, select

    if model and model not in lock.models:
        raise Refused(
            f"the lock file has no model '{model}'",
            why=f"its models: {', '.join(lock.models) or '(none)'}",
            fix=f"invoke pin --model {model}",
        )
    images = select(lock, platform, channel, PinOptions()) if platform or channel or not model else ()
    models = {name: entry for name, entry in lock.models.items() if model in ("", name)}
    return images, models if model or not (platform or channel) else {}


def _show(found: list[CheckedInput]) -> None:
    show(table(("STATE", "KEY", "INPUT"), [(one.state, one.key, one.input) for one in found]))
    for one in found:
        if one.why:
            say(f"{one.state}: {one.key}: {one.why}{f' (next: {one.fix})' if one.fix else ''}")
    unknown = sum(one.state == "unknown" for one in found)
    if unknown:
        say(f"{unknown} of {len(found)} sources did not answer; run the command again later")
