"""The manifest of a snapshot: every file of a commit, its size and hashes, and when it was proven.

A Hub's listing becomes one; it lies in the cache as `models--org--name/manifests/<commit>.json`, it is the
first member of a bundle, and `invoke verify` needs nothing else. The listing comes from a server, so it is
read as hostile: names become paths here and hashes become file names.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from errors import Failed
from launch import atomic_write
from launch.weights import safe_read
from launch.weights.cache import COMMIT

FORMAT = 1
MOST_FILES = 100_000  # a model has a few hundred; a listing without end is not one
MOST_BYTES = 256 << 20  # of a manifest: a hundred thousand long names have less
LARGEST = 1 << 60  # bytes of a file; no disk has room for more
DISTRUST = "do not trust this repository or this mirror"
BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
KINDS: dict[str, type] = {"str": str, "int": int, "bool": bool}
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
        why = f"it says {manifest.commit[:60]!a}"
        raise Failed(f"{manifest.model}: the server names no commit", why=why, fix=DISTRUST)
    if len(manifest.entries) > MOST_FILES:
        why = "no model has; nothing was written"
        raise Failed(f"{manifest.model}: the listing has more than {MOST_FILES} files", why=why, fix=DISTRUST)
    paths = {entry.path for entry in manifest.entries}
    if len(paths) < len(manifest.entries):
        twice = next(path for path, times in Counter(e.path for e in manifest.entries).items() if times > 1)
        why = f"{twice[:120]!r}; nothing was written"
        raise Failed(f"{manifest.model}: the listing names a file twice", why=why, fix=DISTRUST)
    for entry in manifest.entries:
        if fault := _fault(entry, paths):
            raise Failed(
                f"{manifest.model}: refused the file name {entry.path[:120]!r}",
                why=f"{fault}; nothing was written",
                fix=DISTRUST,
            )
    return manifest


def _fault(entry: Entry, paths: set[str]) -> str:
    parts = entry.path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it would leave the snapshot's folder"
    if "\\" in entry.path or not entry.path.isprintable():
        return "it has characters that no file of a model has"
    if len(entry.path.encode()) > 1000 or any(len(part.encode()) > 250 for part in parts):
        return "it is too long"
    if any("/".join(parts[:depth]) in paths for depth in range(1, len(parts))):
        return "a file of that name is also a folder"
    if not BLOB.fullmatch(entry.blob) or not 0 <= entry.size < LARGEST:
        return f"its hash or size is none: {entry.blob[:70]!r}, {entry.size}"
    return ""


def load(path: Path) -> Manifest | None:
    """The manifest in a file, None where there is none. Raises Failed where it cannot be understood."""
    try:
        found = parse(safe_read.read(path, MOST_BYTES))
        if found.commit != path.stem:
            raise ValueError(f"it is of another commit, {found.commit}")
        return found
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        fix = "use --cache DIR with a folder of your own"
        raise Failed(f"may not read {path}", why=str(error), fix=fix) from error
    except (OSError, ValueError, TypeError, KeyError, Failed) as error:
        why = error.what if isinstance(error, Failed) else str(error)
        raise Failed(
            f"cannot read the manifest {path}", why=why, fix=f"rm {path}, then fetch again"
        ) from error


def parse(data: bytes) -> Manifest:
    """The manifest in JSON. Raises ValueError, TypeError, KeyError or Failed where it is none."""
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error
    if not isinstance(values, dict) or values.pop("format") != FORMAT:
        raise ValueError("it was written by something else, or by another version of Slipway")
    manifest = Manifest(**{**values, "entries": tuple(Entry(**entry) for entry in values["entries"])})
    every: tuple[Manifest | Entry, ...] = (manifest, *manifest.entries)
    for one in every:
        _require_kinds(one)
    return checked(manifest)


def _require_kinds(one: Manifest | Entry) -> None:
    """Raises TypeError where a value in it is of another kind than it should be."""
    for name, kind in one.__annotations__.items():
        if kind in KINDS and type(getattr(one, name)) is not KINDS[kind]:
            raise TypeError(f"its {name} is {getattr(one, name)!a:.60}")


def save(manifest: Manifest, path: Path) -> None:
    """Write it so that a reader, or a crash, sees the old one or the new one."""
    atomic_write.write_text(path, json.dumps(manifest.as_dict(), indent=1) + "\n")
