"""Records of images that passed their tests: one small file for each image ID, written by `tests/images`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launch import atomic_write, paths


def folder() -> Path:
    """Return the folder of the records."""
    return paths.results_dir() / "images"


def record(image: str, tag: str, tests: list[str]) -> Path:
    """Record that the image passed these tests now; return the file."""
    path = _file(image)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    data = {"image": image, "tag": tag, "date": date, "passed": sorted(tests)}
    atomic_write.write_text(path, json.dumps(data, indent=2) + "\n")
    return path


def of(image: str) -> dict[str, Any] | None:
    """Return the record of an image ID, or None if it has not passed its tests."""
    try:
        data: dict[str, Any] = json.loads(_file(image).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return data if data.get("image") == image and data.get("passed") else None


def _file(image: str) -> Path:
    return folder() / f"{image.removeprefix('sha256:')[:16]}.json"
