"""A snapshot in the cache: its links, and whether it is complete."""

from __future__ import annotations

import errno
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from errors import Failed
from launch import atomic_write
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.manifest import WEIGHTS, Entry, Manifest


@dataclass(frozen=True)
class Snapshot:
    """A model at a commit on this host. `bytes` is the size of its files, `fetched` what was transferred now."""

    model: str
    revision: str
    commit: str
    path: Path
    files: int
    bytes: int
    fetched: int = 0
    licence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke fetch --format json`."""
        return {**self.__dict__, "path": str(self.path)}


def require_complete(model: str, revision: str = "main", cache: Path | None = None) -> Snapshot:
    """Return the snapshot that a server would load; compare names and sizes with the manifest, offline.

    Raises Failed, with the command that completes it, if it is absent or incomplete.
    """
    folder = ModelFolder(cache or cache_folder(), model)
    commit = folder.commit(revision)
    fix = fetch_command(model, revision, cache)
    if commit is None or not folder.snapshot(commit).is_dir():
        raise Failed(f"{model} is not in the cache", why=absence(folder, revision), fix=fix)
    manifest = manifests.load(folder.manifest(commit))
    if manifest is None:
        why = "it has no manifest, so it may be incomplete"
        raise Failed(f"{model} at {commit[:12]} was never verified", why=why, fix=fix)
    if faults := missing(folder, manifest):
        raise Failed(f"{model} at {commit[:12]} is incomplete", why="; ".join(faults[:5]), fix=fix)
    return described(folder, manifest, revision)


def described(folder: ModelFolder, manifest: Manifest, revision: str, fetched: int = 0) -> Snapshot:
    """Return the facts of a complete snapshot."""
    return Snapshot(
        manifest.model,
        revision,
        manifest.commit,
        folder.snapshot(manifest.commit),
        len(manifest.wanted),
        manifest.size,
        fetched,
        manifest.licence,
    )


def absence(folder: ModelFolder, revision: str) -> str:
    """Return why the cache has no snapshot of a revision."""
    if not folder.path.is_dir():
        return f"it was never fetched to '{folder.path.parent}'"
    return f"'{folder.path}' has no revision '{revision}'"


def fetch_command(model: str, revision: str, cache: Path | None) -> str:
    """Return the command line that completes a snapshot."""
    words = ["invoke", "fetch", model]
    words += ["--revision", revision] if revision != "main" else []
    words += ["--cache", str(cache)] if cache else []
    return shlex.join(words)


def missing(folder: ModelFolder, manifest: Manifest) -> list[str]:
    """Return a line for each file that is absent or has another size; weights that were left out count too."""
    if not manifest.wanted:
        return ["its manifest names no file"]
    left_out = [one for one in manifest.entries if not one.wanted and WEIGHTS.fullmatch(one.path)]
    lines = [f"{one.path} was left out" for one in left_out]
    lines += [line for one in manifest.wanted if (line := fault(folder, manifest.commit, one))]
    return lines or [f"{one.path} was never verified" for one in manifest.wanted if not one.verified]


def fault(folder: ModelFolder, commit: str, entry: Entry) -> str:
    """Return what is wrong with one file by name and size, or an empty string."""
    path = folder.snapshot(commit) / entry.path
    try:
        status = path.stat()
    except OSError:
        return f"{entry.path} is missing"
    if not S_ISREG(status.st_mode):
        return f"{entry.path} is not a file"
    if path.is_symlink() and not _same(path, folder.blobs / entry.blob):
        return f"{entry.path} points at something else than its blob"
    size = status.st_size
    return "" if size == entry.size else f"{entry.path} has {size} bytes instead of {entry.size}"


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def link(folder: ModelFolder, commit: str, entry: Entry) -> None:
    """Link the file's name in the snapshot to its blob, atomically. Raises OSError."""
    path = folder.snapshot(commit) / entry.path
    target = os.path.relpath(folder.blobs / entry.blob, path.parent)
    if path.is_symlink() and os.readlink(path) == target:  # noqa: PTH115 -- readlink as text, to compare
        return
    _require_folder(folder, commit, path.parent, Path(entry.path).parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{entry.blob}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def require_inside(folder: ModelFolder, commit: str) -> None:
    """Raise OSError if the snapshot's folder leads out of the model's folder."""
    _require_folder(folder, commit, folder.snapshot(commit), Path())


def _require_folder(folder: ModelFolder, commit: str, path: Path, inside: Path) -> None:
    if path.resolve() != folder.path.resolve() / "snapshots" / commit / inside:
        raise FileExistsError(errno.EEXIST, "a link leads out of the snapshot", str(path))


def set_ref(folder: ModelFolder, revision: str, commit: str) -> None:
    """Store the commit of a branch or tag."""
    ref = folder.ref(revision)
    if revision == commit or (ref.is_file() and ref.read_bytes() == commit.encode()):
        return
    atomic_write.write_text(ref, commit)
