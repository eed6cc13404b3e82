"""The manifest of a snapshot: every file of a commit, its size and hashes, and when it was proven.

A Hub's listing becomes one; it lies in the cache as `models--org--name/manifests/<commit>.json`, it is the
first member of a bundle, and `invoke verify` needs nothing else. The listing comes from a server, so it is
read as hostile: names become paths here and hashes become file names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from errors import Failed
from launch.weights.cache import COMMIT

FORMAT = 1
MOST_FILES = 100_000  # a model has a few hundred; a listing without end is not one
BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
WEIGHTS = re.compile(r"[^/]+\.safetensors")  # in the root, where vLLM loads them from


@dataclass(frozen=True)
class Entry:
    """One file. `blob` is its name in the cache and its proof: sha256 for large files, else git's hash of it.

    `sha256` is empty until known, `verified` (UTC) until its bytes were hashed; `mtime_ns` is the blob's at
    that time. `wanted` is false for a file that --include or --exclude left out.
    """

    path: str
    size: int
    blob: str
    sha256: str = ""
    verified: str = ""
    mtime_ns: int = 0
    wanted: bool = True


@dataclass(frozen=True)
class Manifest:
    """All files of a model at a commit."""

    model: str
    revision: str
    commit: str
    entries: tuple[Entry, ...]
    licence: str = ""
    source: str = ""

    @property
    def wanted(self) -> tuple[Entry, ...]:
        """The files that this host is meant to have."""
        return tuple(entry for entry in self.entries if entry.wanted)

    @property
    def size(self) -> int:
        """Bytes of the wanted files."""
        return sum(entry.size for entry in self.wanted)

    def with_entries(self, entries: Iterable[Entry]) -> Manifest:
        """The same manifest with these entries in place of those of the same path."""
        newer = {entry.path: entry for entry in entries}
        return replace(self, entries=tuple(newer.get(entry.path, entry) for entry in self.entries))

    def as_dict(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        return {"format": FORMAT, **asdict(self)}


def checked(manifest: Manifest) -> Manifest:
    """The manifest, if every name in it is safe to make a path of.

    Raises Failed for absolute paths, `..`, control characters, a file that is also a folder, names given
    twice, hashes that are none, and listings of more than MOST_FILES.
    """
    if not COMMIT.fullmatch(manifest.commit):
        raise Failed(f"{manifest.model}: the server names no commit", why=f"it says '{manifest.commit[:60]}'")
    if len(manifest.entries) > MOST_FILES:
        raise Failed(f"{manifest.model}: the listing has more than {MOST_FILES} files", why="no model has")
    paths = {entry.path for entry in manifest.entries}
    if len(paths) < len(manifest.entries):
        raise Failed(f"{manifest.model}: the listing names a file twice")
    for entry in manifest.entries:
        if fault := _fault(entry, paths):
            raise Failed(
                f"{manifest.model}: refused the file name {entry.path[:120]!r}",
                why=f"{fault}; nothing was written",
                fix="do not trust this repository or this mirror",
            )
    return manifest


def _fault(entry: Entry, paths: set[str]) -> str:
    parts = entry.path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it would leave the snapshot's folder"
    if "\\" in entry.path or not entry.path.isprintable():
        return "it has characters that no file of a model has"
    if len(entry.path) > 1000 or any(len(part.encode()) > 250 for part in parts):
        return "it is too long"
    if any("/".join(parts[:depth]) in paths for depth in range(1, len(parts))):
        return "a file of that name is also a folder"
    if not BLOB.fullmatch(entry.blob) or entry.size < 0:
        return f"its hash or size is none: {entry.blob[:70]!r}, {entry.size}"
    return ""


def load(path: Path) -> Manifest | None:
    """The manifest in a file, None where there is none. Raises Failed where it cannot be understood."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failed(
            f"cannot read the manifest {path}", why=str(error), fix=f"rm {path}, then fetch again"
        ) from error


def parse(data: bytes) -> Manifest:
    """The manifest in JSON. Raises ValueError, TypeError, KeyError or Failed where it is none."""
    values = json.loads(data)
    if not isinstance(values, dict) or values.pop("format") != FORMAT:
        raise ValueError("it was written by something else, or by another version of Slipway")
    entries = tuple(Entry(**entry) for entry in values.pop("entries"))
    if not all(isinstance(text, str) for one in entries for text in (one.path, one.blob, one.sha256)):
        raise TypeError("a name or a hash in it is no text")
    return checked(Manifest(**values, entries=entries))


def save(manifest: Manifest, path: Path) -> None:
    """Write it so that a reader, or a crash, sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text(json.dumps(manifest.as_dict(), indent=1) + "\n")
    beside.replace(path)
