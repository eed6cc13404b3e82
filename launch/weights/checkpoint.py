"""Read what describes a model without a recipe: from a folder, from the Hugging Face cache, or from the Hub.

From the Hub only some small files are read, into memory. They are verified against the listing, which also gives the
size of the weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch.http.pool import ConnectionPool
from launch.http.retry import RetryPolicy, TransientError, call_with_retries
from launch.http.url import public
from launch.recipes.config_check import LARGEST_CONFIG, parse_config
from launch.recipes.model_kind import check_files, is_weights
from launch.spec.checkpoint import Checkpoint
from launch.spec.model_config import ModelShape, from_config
from launch.weights import manifest as manifests
from launch.weights import safe_read
from launch.weights.cache import ModelFolder
from launch.weights.hashing import Digest
from launch.weights.local_folder import check_folder, folder_of, served_name, sizes_of
from launch.weights.manifest import DISTRUST, Entry
from launch.weights.model_info import LARGEST_JSON, weight_bytes
from launch.weights.sources.hub import Hub
from launch.weights.sources.hub_errors import transient

Read = Callable[[str], bytes]  # Raises OSError for a file that is missing or cannot be read


def from_folder(given: str) -> Checkpoint:
    """Return the model in a local folder. Raises Refused."""
    folder = folder_of(given)
    sizes, read = sizes_of(folder, given), partial(_read, folder)
    check_files(sizes, f"'{given}'")
    check_folder(folder, sizes, _values(read, "model.safetensors.index.json"), given)
    found = _checkpoint(served_name(folder), f"'{given}'", sizes, read, folder)
    return replace(found, folder=str(folder))


def from_cache(model: str, hub: Path, revision: str = "main") -> Checkpoint | None:
    """Return the model in the Hugging Face cache; None if its config or the list of its weights is not there."""
    where = ModelFolder(hub, model)
    commit = where.commit(revision)
    folder = where.snapshot(commit) if commit else None
    if commit is None or folder is None or not (folder / "config.json").exists():
        return None
    manifest = manifests.load(where.manifest(commit))
    listed = (
        {entry.path: entry.size for entry in manifest.entries if "/" not in entry.path} if manifest else {}
    )
    sizes = {**sizes_of(folder, model), **listed}
    if not any(is_weights(name) for name in sizes) and manifest is None:
        return None
    check_files(sizes, model)
    return _checkpoint(model, f"snapshot {commit[:12]} in the cache", sizes, partial(_read, folder), folder)


def from_hub(hub: Hub, policy: RetryPolicy, revision: str = "main") -> Checkpoint:
    """Return the model on a Hub. Raises Failed or Refused; nothing is written."""
    entries = {entry.path: entry for entry in hub.manifest(revision).entries if "/" not in entry.path}
    sizes = {name: entry.size for name, entry in entries.items()}
    check_files(sizes, hub.model)
    return _checkpoint(hub.model, public(hub.endpoint), sizes, partial(_fetch, hub, policy, entries))


def _checkpoint(
    model: str, place: str, sizes: Mapping[str, int], read: Read, folder: Path | None = None
) -> Checkpoint:
    try:
        config = parse_config(read("config.json"), place)
    except OSError as error:
        why = error.strerror or str(error)
        raise Refused(f"cannot read the config.json of {place}", why=why, fix="check the file") from error
    tokenizer = _values(read, "tokenizer_config.json")
    shape = replace(from_config(config, f"config.json of {place}"), weight_bytes=_weights(sizes) or None)
    shape = _measured(shape, folder) if folder else shape
    shape = _as_loaded(_limited(shape, tokenizer.get("model_max_length")))
    return Checkpoint(model, place, config, shape, sizes, _template(read, tokenizer))


def _weights(sizes: Mapping[str, int]) -> int:
    """Return the bytes of the files that vLLM loads: safetensors, without Mistral's second copy, else others."""
    weights = {name: size for name, size in sizes.items() if is_weights(name)}
    formats = [{name for name in weights if name.endswith(end)} for end in (".safetensors", ".bin", ".pt")]
    names: set[str] = next((some for some in formats if some), set(weights))
    first = {name for name in names if not name.startswith("consolidated")} or names
    return sum(weights[name] for name in first)


def _measured(shape: ModelShape, folder: Path) -> ModelShape:
    """Return the shape with the bytes of its tensors, if their headers are there."""
    total, experts = weight_bytes(folder)
    return shape if experts is None else replace(shape, weight_bytes=total, expert_bytes=experts)


def _limited(shape: ModelShape, longest: Any) -> ModelShape:
    """Return the shape with the context that vLLM derives: at most the tokenizer's model_max_length."""
    if type(longest) is int and longest > 0 and shape.context and longest < shape.context:
        return replace(shape, context=longest)
    return shape


def _as_loaded(shape: ModelShape) -> ModelShape:
    """Return the shape in the type in which vLLM serves: its --dtype auto turns float32 into bfloat16."""
    if shape.dtype != "float32":
        return shape
    if shape.precision:  # quantized weights stay as they are
        return replace(shape, dtype="bfloat16")
    total = (shape.weight_bytes or 0) // 2 or None
    return replace(shape, dtype="bfloat16", weight_bytes=total, expert_bytes=None)


def _template(read: Read, tokenizer: Mapping[str, Any]) -> str:
    """Return the chat templates as one text: of their own file, else of tokenizer_config.json."""
    try:
        return read("chat_template.jinja").decode(errors="replace")
    except OSError:
        own = _values(read, "chat_template.json").get("chat_template") or tokenizer.get("chat_template")
    if isinstance(own, list):
        return "\n".join(str(one.get("template", "")) for one in own if isinstance(one, dict))
    return own if isinstance(own, str) else ""


def _values(read: Read, name: str) -> dict[str, Any]:
    """Return an optional JSON file, {} if it is missing or no object."""
    try:
        values = json.loads(read(name))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _read(folder: Path, name: str) -> bytes:
    return safe_read.read(folder / name, LARGEST_JSON if name.endswith(".index.json") else LARGEST_CONFIG)


def _fetch(hub: Hub, policy: RetryPolicy, entries: Mapping[str, Entry], name: str) -> bytes:
    """Return a small file of the Hub, verified. Raises OSError if it is not listed or too large."""
    entry = entries.get(name)
    if entry is None:
        raise FileNotFoundError(name)
    if entry.size > LARGEST_CONFIG:
        raise OSError(f"it has {entry.size:,} bytes; Slipway reads up to {LARGEST_CONFIG:,}")
    where = public(hub.endpoint)
    try:
        data = call_with_retries(
            policy, lambda: _receive(hub, policy, entry), lambda error: transient(error, hub.model), where
        )
    except TransientError as error:
        fix = "check HF_ENDPOINT, proxy and network"
        raise Failed(f"{hub.model}: cannot read {name} from {where}", why=error.reason, fix=fix) from error
    digest = Digest(entry)
    digest.update(data)
    if not digest.matches():
        raise Failed(f"{hub.model}: {name} is not the listed one", why="its hash differs", fix=DISTRUST)
    return data


def _receive(hub: Hub, policy: RetryPolicy, entry: Entry) -> bytes:
    """Return the bytes of one small file. Raises TransientError."""
    data = bytearray(entry.size)
    if not data:
        return b""
    pool = ConnectionPool(policy)
    try:
        body, view = hub.open(entry, 0, entry.size, pool), memoryview(data)
        while body.position < body.end:
            body.readinto(view[body.position :])
        body.close()
    finally:
        pool.close()
    return bytes(data)
