"""The manifest of a snapshot: every file of a commit, its size and hashes, and when it was verified.

It is made from a Hub's listing, stored in the cache as `models--org--name/manifests/<commit>.json`, and is the
first member of a bundle. `invoke verify` needs nothing else. The listing is untrusted input: its names become
paths on this host, and its hashes become file names.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from errors import Failed
from launch import atomic_write, paths
from launch.weights import safe_read
from launch.weights.cache import COMMIT

FORMAT = 1
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
MOST_FILES = 100_000  # a model has a few hundred; the limit ends an endless listing
MOST_BYTES = 256 << 20  # of a manifest: a hundred thousand long names have less
LARGEST = 1 << 60  # bytes of a file; no disk is larger
DISTRUST = "do not trust this repository or this mirror"
BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool}
WEIGHTS = re.compile(r"[^/]+\.safetensors")  # in the root folder, where vLLM loads them from


@dataclass(frozen=True)
class Entry:
    """One file. `blob` is its name in the cache and its hash: SHA-256 for large files, git's SHA-1 for others.

    `sha256` and `verified` (UTC) are empty until the content was hashed; `mtime_ns` and `inode` are the blob's at
    that time. An inode of 0 is not known.
    `wanted` is false for a file that --include or --exclude left out.
    """

    path: str
    size: int
    blob: str
    sha256: str = ""
    verified: str = ""
    mtime_ns: int = 0
    inode: int = 0
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
        """The files that this host should have."""
        return tuple(entry for entry in self.entries if entry.wanted)

    @property
    def size(self) -> int:
        """Bytes of the wanted files."""
        return sum(entry.size for entry in self.wanted)

    @property
    def digest(self) -> str:
        """The hash of the list of files: their names, sizes and content. What this host verified does not count."""
        files = sorted((entry.path, entry.size, entry.blob) for entry in self.entries)
        return f"sha256:{hashlib.sha256(json.dumps(files).encode()).hexdigest()}"

    def with_entries(self, entries: Iterable[Entry]) -> Manifest:
        """Return a copy in which these entries replace those of the same path."""
        newer = {entry.path: entry for entry in entries}
        return replace(self, entries=tuple(newer.get(entry.path, entry) for entry in self.entries))

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON values."""
        return {"format": FORMAT, **asdict(self)}


def checked(manifest: Manifest) -> Manifest:
    """Return the manifest if every name in it is safe to use as a path.

    Raises Failed for absolute paths, `..`, control characters, a file that is also a folder, duplicate names,
    invalid hashes, and more than MOST_FILES files.
    """
    if not COMMIT.fullmatch(manifest.commit):
        why = f"the commit is {manifest.commit[:60]!a}"
        raise Failed(f"{manifest.model}: the server names no valid commit", why=why, fix=DISTRUST)
    if len(manifest.entries) > MOST_FILES:
        why = "nothing was written"
        raise Failed(f"{manifest.model}: the listing has more than {MOST_FILES} files", why=why, fix=DISTRUST)
    paths = {entry.path for entry in manifest.entries}
    if len(paths) < len(manifest.entries):
        counts = Counter(entry.path for entry in manifest.entries)
        twice = next(path for path, count in counts.items() if count > 1)
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
        return "it has characters that are not allowed in file names"
    if len(entry.path.encode()) > 1000 or any(len(part.encode()) > 250 for part in parts):
        return "it is too long"
    if any("/".join(parts[:depth]) in paths for depth in range(1, len(parts))):
        return "a file of that name is also a folder"
    if not BLOB.fullmatch(entry.blob) or not 0 <= entry.size < LARGEST:
        return f"its hash or size is not valid: {entry.blob[:70]!r}, {entry.size}"
    return ""


def require_digest(manifest: Manifest, digest: str, fix: str) -> None:
    """Raise Failed if a digest is expected and the list of files has another one."""
    if digest not in ("", manifest.digest):
        raise Failed(
            f"{manifest.model} at {manifest.commit[:12]} has other files than the lock file",
            why=f"the digest of its file list is {manifest.digest}; the lock file has {digest}",
            fix=fix,
        )


def load(path: Path) -> Manifest | None:
    """Return the manifest in a file, or None if there is no file. Raises Failed if it cannot be read."""
    try:
        manifest = parse(safe_read.read(_newest(path), MOST_BYTES))
        if manifest.commit != path.stem:
            raise ValueError(f"it is of another commit, {manifest.commit}")
        return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        fix = "use --cache DIR with your own folder"
        raise Failed(f"may not read {path}", why=str(error), fix=fix) from error
    except (OSError, ValueError, TypeError, KeyError, Failed) as error:
        why = error.what if isinstance(error, Failed) else str(error)
        raise Failed(
            f"cannot read the manifest {path}", why=why, fix=f"rm {path}, then fetch again"
        ) from error


def parse(data: bytes) -> Manifest:
    """Return the manifest in JSON. Raises ValueError, TypeError, KeyError or Failed."""
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict) or values.pop("format") != FORMAT:
        raise ValueError("it was written by something else, or by another version of Slipway")
    manifest = Manifest(**{**values, "entries": tuple(Entry(**entry) for entry in values["entries"])})
    every: tuple[Manifest | Entry, ...] = (manifest, *manifest.entries)
    for one in every:
        _require_types(one)
    return checked(manifest)


def _require_types(one: Manifest | Entry) -> None:
    """Raise TypeError if a value has another type than its field."""
    for name, annotation in one.__annotations__.items():
        if annotation in TYPES and type(getattr(one, name)) is not TYPES[annotation]:
            raise TypeError(f"its {name} is {getattr(one, name)!a:.60}")


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest; readers see the old one or the new one. Raises OSError."""
    _write(manifest, path)
    _own_copy(path).unlink(missing_ok=True)


def save_verified(manifest: Manifest, path: Path) -> None:
    """Write a manifest after a verification, for this user alone if the cache is read-only. Raises OSError."""
    try:
        save(manifest, path)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        _write(manifest, _own_copy(path))


def _write(manifest: Manifest, path: Path) -> None:
    atomic_write.write_text(path, json.dumps(manifest.as_dict(), indent=1) + "\n")


def _own_copy(path: Path) -> Path:
    """Return where this user keeps the manifest of a cache that is read-only: what was verified, and when."""
    place = hashlib.sha256(os.fsencode(path.absolute().parent)).hexdigest()[:16]
    return paths.state_dir() / "manifests" / place / path.name


def _newest(path: Path) -> Path:
    """Return the manifest to read: this user's own copy if it is newer than the one in the cache."""
    own = _own_copy(path)
    try:
        return own if own.stat().st_mtime_ns > _time(path) else path
    except OSError:
        return path


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
