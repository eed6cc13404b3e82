"""`invoke pin --model`: write the commit of a model's weights to the lock file."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from commands.output import bar, emit, say

if TYPE_CHECKING:
    from images.lock.schema import Lock


def run(path: Path, lock: Lock, model: str, revision: str, today: date, *, write: bool, format: str) -> None:
    """Ask the Hub for the commit, show the change, and write it unless `write` is false."""
    from images.lock import writer
    from launch.operations.locked_models import pin_model

    with bar(f"pin {model}"):
        new = pin_model(model, revision, today)
    old = lock.models.get(model)
    if old and (old.commit, old.manifest) == (new.commit, new.manifest):
        new = old
    before = asdict(old) if old else {}
    changes = [
        {"model": model, "key": key, "old": before.get(key, ""), "new": value}
        for key, value in asdict(new).items()
        if value != before.get(key)
    ]
    if write and changes:
        models = dict(sorted({**lock.models, model: new}.items()))
        writer.write({path: writer.render(replace(lock, models=models))})
    if format == "json":
        emit({"lock": str(path), "changes": changes, "notes": [], "written": bool(write and changes)})
        return
    for row in changes:
        print(f"models.{model}.{row['key']}: {row['old'] or '-'} -> {row['new']}")
    done = f"{len(changes)} changes" if changes else "nothing changed"
    say(f"{path}: {done}{'' if write else ', not written'}")
