"""Write the lock as text in a fixed order: a pin that changes nothing leaves the file byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from errors import Failed
from images.lock.schema import ImageInputs, Lock, as_data
from launch import atomic_write

_HEAD = """\
# The pinned inputs of every image, and the commits of models. The first channel of a platform is its default.
# `invoke pin` updates them; a build uses nothing else.
"""


def render(lock: Lock) -> str:
    """Return YAML in the order of the model's fields, without default values."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Write lists on one line."""

        def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
            return super().represent_sequence(tag, sequence, flow_style=True)

    data = as_data(lock)
    return _HEAD + yaml.dump(data, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)


def write(files: dict[Path, str]) -> None:
    """Write the changed files. Raises Failed if they cannot be written; then all files are unchanged."""
    changed = {path: text for path, text in files.items() if not _is_current(path, text)}
    try:
        atomic_write.write_texts(changed)
    except OSError as error:
        raise Failed("cannot write the lock; it is unchanged", why=str(error)) from None


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def changes(old: ImageInputs, new: ImageInputs) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, old value and new value of each difference, in the order of the lock."""
    yield from _differences("", asdict(old), asdict(new))


def _differences(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*new, *(name for name in old if name not in new)]:
            yield from _differences(f"{key}.{name}".lstrip("."), old.get(name, ""), new.get(name, ""))
    elif old != new:
        yield key, old, new
