"""Records of images that passed their tests: one small file for each image ID, written by `tests/images`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "results" / "images"


def record(image: str, tag: str, tests: list[str], folder: Path | None = None) -> Path:
    """Record that the image passed these tests now; return the file."""
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_short(image)}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    data = {"image": image, "tag": tag, "date": date, "passed": sorted(tests)}
    path.write_text(json.dumps(data, indent=2) + "\n")
    return path


def of(image: str, folder: Path | None = None) -> dict[str, Any] | None:
    """Return the record of an image ID, or None if it has not passed its tests."""
    try:
        data: dict[str, Any] = json.loads(((folder or FOLDER) / f"{_short(image)}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return data if data.get("image") == image and data.get("passed") else None


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:16]
