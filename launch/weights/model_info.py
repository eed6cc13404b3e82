"""Read a model's facts from its snapshot in the Hugging Face cache: config.json and safetensors headers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from launch.spec.model_config import ModelShape, from_config

LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format


def shapes(hub_cache: Path, models: Iterable[str]) -> dict[str, ModelShape]:
    """Return the shapes of the models that have a snapshot, by model name."""
    by_model = {model: shape(folder) for model in models for folder in snapshot_folders(hub_cache, model)}
    return {model: facts for model, facts in by_model.items() if facts is not None}


def snapshot_folders(hub_cache: Path, model: str) -> list[Path]:
    """Return the snapshot of `main`, else the newest, as a list of at most one folder."""
    root = hub_cache / f"models--{model.replace('/', '--')}"
    try:
        main = root / "snapshots" / (root / "refs" / "main").read_text().strip()
    except OSError:
        main = root
    if main != root and main.is_dir():
        return [main]
    others = sorted((root / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime)
    return others[-1:]


def shape(folder: Path) -> ModelShape | None:
    """Return the shape of one snapshot, or None if its config.json is missing or not a JSON object."""
    config = _json(folder / "config.json")
    if not isinstance(config, dict):
        return None
    total, experts = _weight_bytes(folder)
    shape = from_config(config, f"config.json of snapshot {folder.name}")
    return replace(shape, weight_bytes=total, expert_bytes=experts)


def _weight_bytes(folder: Path) -> tuple[int | None, int | None]:
    """Return the bytes of all tensors and of routed experts: from the headers, else only the sum from the index."""
    index = _json(folder / "model.safetensors.index.json")
    names = set(index["weight_map"].values()) if _is_index(index) else {"model.safetensors"}
    headers = [_header(folder / str(name)) for name in names]
    if not all(headers):
        return _total(index), None
    sizes = [
        (name, _size(entry)) for header in headers for name, entry in header.items() if name != "__metadata__"
    ]
    return sum(size for _, size in sizes), sum(size for name, size in sizes if ".experts." in name)


def _total(index: Any) -> int | None:
    """Return `metadata.total_size` of an index whose shards are not all in the cache yet."""
    metadata = index.get("metadata") if isinstance(index, dict) else None
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return total if isinstance(total, int) and total > 0 else None


def _is_index(index: Any) -> bool:
    return isinstance(index, dict) and isinstance(index.get("weight_map"), dict)


def _size(entry: Any) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return int(offsets[1]) - int(offsets[0]) if isinstance(offsets, list) and len(offsets) == 2 else 0


def _header(path: Path) -> dict[str, Any]:
    """Return the JSON header of a safetensors file, or an empty dict."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= LARGEST_HEADER else {}
    except (OSError, ValueError, RecursionError, struct.error):
        return {}
    return header if isinstance(header, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
