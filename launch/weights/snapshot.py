"""A snapshot in the cache: its links, and whether it may be served."""

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
from launch.weights.cache import Place, cache_folder
from launch.weights.manifest import WEIGHTS, Entry, Manifest


@dataclass(frozen=True)
class Snapshot:
    """A model at a commit on this host. `bytes` is what its files hold, `fetched` what came now."""

    model: str
    revision: str
    commit: str
    path: Path
    files: int
    bytes: int
    fetched: int = 0
    licence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The values of `invoke fetch --format json`."""
        return {**self.__dict__, "path": str(self.path)}


def check(model: str, revision: str = "main", cache: Path | None = None) -> Snapshot:
    """The snapshot that a server would load, from local facts alone: names and sizes, against the manifest.

    Raises Failed, with the command that completes it, where it is absent or incomplete.
    """
    place = Place(cache or cache_folder(), model)
    commit = place.commit(revision)
    fix = fetch_command(model, revision, cache)
    if commit is None or not place.snapshot(commit).is_dir():
        raise Failed(f"{model} is not in the cache", why=f"there is no {revision} in {place.folder}", fix=fix)
    manifest = manifests.load(place.manifest(commit))
    if manifest is None:
        why = "it has no manifest, so nobody knows whether it is whole"
        raise Failed(f"{model} at {commit[:12]} was never proven", why=why, fix=fix)
    if broken := missing(place, manifest):
        raise Failed(f"{model} at {commit[:12]} is incomplete", why="; ".join(broken[:5]), fix=fix)
    return described(place, manifest, revision)


def described(place: Place, manifest: Manifest, revision: str, fetched: int = 0) -> Snapshot:
    """The facts of a snapshot that is complete."""
    wanted = manifest.wanted
    path = place.snapshot(manifest.commit)
    return Snapshot(
        manifest.model, revision, manifest.commit, path, len(wanted), manifest.size, fetched, manifest.licence
    )


def fetch_command(model: str, revision: str, cache: Path | None) -> str:
    """The command line that completes a snapshot."""
    words = ["invoke", "fetch", "--model", model]
    words += ["--revision", revision] if revision != "main" else []
    words += ["--cache", str(cache)] if cache else []
    return shlex.join(words)


def missing(place: Place, manifest: Manifest) -> list[str]:
    """What is not there or has another size, a line for each; weights that were left out count."""
    if not manifest.wanted:
        return ["its manifest names no file"]
    left_out = [one for one in manifest.entries if not one.wanted and WEIGHTS.fullmatch(one.path)]
    lines = [f"{one.path} was left out" for one in left_out]
    lines += [line for one in manifest.wanted if (line := fault(place, manifest.commit, one))]
    return lines or [f"{one.path} was never proven" for one in manifest.wanted if not one.verified]


def fault(place: Place, commit: str, entry: Entry) -> str:
    """What is wrong with one file by name and size, empty where nothing is."""
    at = place.snapshot(commit) / entry.path
    try:
        found = at.stat()
    except OSError:
        return f"{entry.path} is missing"
    if not S_ISREG(found.st_mode):
        return f"{entry.path} is no file"
    if at.is_symlink() and not _same(at, place.blobs / entry.blob):
        return f"{entry.path} points at something else than its blob"
    size = found.st_size
    return "" if size == entry.size else f"{entry.path} has {size} bytes instead of {entry.size}"


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def link(place: Place, commit: str, entry: Entry) -> None:
    """Let the snapshot's name point at the blob, in one step. Raises OSError."""
    at = place.snapshot(commit) / entry.path
    target = os.path.relpath(place.blobs / entry.blob, at.parent)
    if at.is_symlink() and os.readlink(at) == target:  # noqa: PTH115 -- readlink as text, to compare
        return
    _require_in(place, commit, at.parent, Path(entry.path).parent)
    at.parent.mkdir(parents=True, exist_ok=True)
    beside = at.with_name(f".{entry.blob}.{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(at)


def require_inside(place: Place, commit: str) -> None:
    """Raises OSError where the snapshot's folder leads out of the model's."""
    _require_in(place, commit, place.snapshot(commit), Path())


def _require_in(place: Place, commit: str, at: Path, wanted: Path) -> None:
    if at.resolve() != place.folder.resolve() / "snapshots" / commit / wanted:
        raise FileExistsError(errno.EEXIST, "a link leads out of the snapshot", str(at))


def point(place: Place, revision: str, commit: str) -> None:
    """Remember which commit a branch or tag is, in one step; a commit needs no remembering."""
    ref = place.ref(revision)
    if revision == commit or (ref.is_file() and ref.read_bytes() == commit.encode()):
        return
    atomic_write.write_text(ref, commit)
