"""`invoke pin --check`: show which pinned inputs still exist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commands.output import bar, emit, say, show, table
from errors import Failed

if TYPE_CHECKING:
    from images.lock.check import CheckedInput
    from images.lock.pin import Sources
    from images.lock.schema import Lock


def run(lock: Lock, folder: Path, platform: str, channel: str, sources: Sources, format: str) -> None:
    """Check the inputs of the selected images. Raises Failed if one is gone; an unknown one is only reported."""
    from images.lock.check import check_image
    from images.lock.pin_options import PinOptions, select

    found: list[CheckedInput] = []
    with bar("check the pinned inputs") as progress:
        for image in select(lock, platform, channel, PinOptions()):
            found += check_image(image, folder, sources, lambda line: progress.update(0, None, line))
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


def _show(found: list[CheckedInput]) -> None:
    show(table(("STATE", "KEY", "INPUT"), [(one.state, one.key, one.input) for one in found]))
    for one in found:
        if one.why:
            say(f"{one.state}: {one.key}: {one.why}{f' (next: {one.fix})' if one.fix else ''}")
    unknown = sum(one.state == "unknown" for one in found)
    if unknown:
        say(f"{unknown} of {len(found)} sources did not answer; run the command again later")
