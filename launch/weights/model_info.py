"""Read a model's facts from a folder with its files: config.json and safetensors headers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from launch.spec.model_config import ModelShape, from_config
from launch.weights import safe_read

LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
LARGEST_JSON = 64 << 20  # bytes; the index of a model with 60 layers of 384 experts has 14 MB


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
    total, experts = weight_bytes(folder)
    shape = from_config(config, f"config.json of snapshot {folder.name}")
    return replace(shape, weight_bytes=total, expert_bytes=experts)


def weight_bytes(folder: Path) -> tuple[int | None, int | None]:
    """Return the bytes of all tensors and of routed experts: from the headers, else only the sum from the index."""
    index = _json(folder / "model.safetensors.index.json")
    names = {str(name) for name in index["weight_map"].values()} if _is_index(index) else _unindexed(folder)
    headers = [_header(folder / name) for name in names]
    if not headers or not all(headers):
        return _total(index), None
    sizes = [
        (name, _size(entry)) for header in headers for name, entry in header.items() if name != "__metadata__"
    ]
    return sum(size for _, size in sizes), sum(size for name, size in sizes if ".experts." in name)


def _unindexed(folder: Path) -> set[str]:
    """Return the files that vLLM loads without an index; `consolidated` is Mistral's second copy of the weights."""
    if (folder / "model.safetensors.index.json").exists():  # it is damaged, so the shards are not known
        return {"model.safetensors"}
    names = {path.name for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_")}
    return {name for name in names if not name.startswith("consolidated")} or names


def _total(index: Any) -> int | None:
    """Return `metadata.total_size` of an index whose shards are not all in the cache yet."""
    metadata = index.get("metadata") if isinstance(index, dict) else None
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return total if isinstance(total, int) and total > 0 else None


def _is_index(index: Any) -> bool:
    return isinstance(index, dict) and isinstance(index.get("weight_map"), dict)


def _size(entry: Any) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or [type(number) for number in offsets] != [int, int]:
        return 0
    first, end = offsets
    return int(end - first)


def _header(path: Path) -> dict[str, Any]:
    """Return the JSON header of a safetensors file, or an empty dict."""
    try:
        if not path.is_file():  # opening a pipe could wait forever
            return {}
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= LARGEST_HEADER else {}
    except (OSError, ValueError, RecursionError, struct.error):
        return {}
    return header if isinstance(header, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(safe_read.read(path, LARGEST_JSON))
    except (OSError, ValueError, RecursionError):
        return None
