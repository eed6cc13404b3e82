"""Which images passed their tests: a small record for each image id, written by `tests/images`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "results" / "images"


def record(image: str, tag: str, facts: list[str], folder: Path | None = None) -> Path:
    """Say that this image id passed these facts, now."""
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_short(image)}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"image": image, "tag": tag, "date": date, "passed": sorted(facts)}
    path.write_text(json.dumps(said, indent=2) + "\n")
    return path


def of(image: str, folder: Path | None = None) -> dict[str, Any] | None:
    """The record of an image id, or None where it was never tested whole."""
    try:
        said: dict[str, Any] = json.loads(((folder or FOLDER) / f"{_short(image)}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return said if said.get("image") == image and said.get("passed") else None


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:16]
