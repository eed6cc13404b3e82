"""The lock as text, always in the same order: a pin that changed nothing leaves the file byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from errors import Failed
from images.lock.lockfile import Lock, Platform

_HEAD = (
    "# Every pinned input of every platform. `invoke pin` refreshes it, a build resolves nothing by itself.\n"
)


def render(lock: Lock) -> str:
    """YAML in the order of the model's own fields, what is default left out."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Lists of words on one line, as people write them."""

        def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
            return super().represent_sequence(tag, sequence, flow_style=True)

    data = lock.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return _HEAD + yaml.dump(data, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)


def write(files: dict[Path, str]) -> None:
    """All files in one go: each is complete beside its place before the first is renamed into it.

    Raises Failed where they cannot be written, and then all are as they were.
    """
    ready = {p.with_name(f".{p.name}.{os.getpid()}"): p for p, text in files.items() if not _says(p, text)}
    try:
        for beside, path in ready.items():
            beside.write_text(files[path])
        for beside, path in ready.items():
            beside.replace(path)
    except OSError as error:
        raise Failed("cannot write the lock; it stays as it was", why=str(error)) from None
    finally:
        for beside in ready:
            with suppress(OSError):  # on a disk that cannot be written there is nothing to take away
                beside.unlink()


def _says(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def changes(old: Platform, new: Platform) -> Iterator[tuple[str, Any, Any]]:
    """Key, old and new value of all that differs, in the lock's order."""
    yield from _differ("", old.model_dump(), new.model_dump())


def _differ(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*new, *(n for n in old if n not in new)]:
            yield from _differ(f"{key}.{name}".lstrip("."), old.get(name, ""), new.get(name, ""))
    elif old != new:
        yield key, old, new
