"""List the models in the Hugging Face cache, and remove one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch.weights import manifest as manifests
from launch.weights.cache import COMMIT, ModelFolder, cache_folder
from launch.weights.snapshot import faults_of
from launch.weights.transfer.blob_lock import BlobLocks

PREFIX = "models--"
# Names before contents: if a removal is interrupted, no snapshot is left that looks complete.
ORDER = ("refs", "manifests", "snapshots", "blobs")


@dataclass(frozen=True)
class CachedModel:
    """One snapshot of a model in the cache. `bytes` is what its files hold, `state` what is verified."""

    model: str
    revision: str
    commit: str
    bytes: int
    state: str
    path: Path

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke models --format json`."""
        return {**self.__dict__, "path": str(self.path)}


def cached_models(cache: Path | None = None) -> list[CachedModel]:
    """Return every snapshot by model. A model without a snapshot is a download that was not completed."""
    return [found for folder in _model_folders(cache or cache_folder()) for found in _snapshots(folder)]


def _model_folders(cache: Path) -> Iterator[ModelFolder]:
    try:
        paths = sorted(path for path in cache.iterdir() if path.name.startswith(PREFIX) and path.is_dir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failed(
            f"cannot read the cache '{cache}'", why=str(error), fix="invoke models --cache PATH"
        ) from None
    for path in paths:
        try:
            yield ModelFolder(cache, path.name.removeprefix(PREFIX).replace("--", "/", 1))
        except Refused:  # a model without an organization, which Slipway does not fetch
            continue


def _snapshots(folder: ModelFolder) -> Iterator[CachedModel]:
    root = folder.path / "snapshots"
    commits = (
        sorted(path.name for path in root.iterdir() if COMMIT.fullmatch(path.name)) if root.is_dir() else []
    )
    if not commits:
        yield CachedModel(folder.model, "", "", _size(folder.blobs), "download not completed", folder.path)
    names = _revisions(folder)
    for commit in commits:
        path = folder.snapshot(commit)
        yield CachedModel(
            folder.model, names.get(commit, ""), commit, _size(path), _state(folder, commit), path
        )


def _revisions(folder: ModelFolder) -> dict[str, str]:
    """Return branches and tags by the commit that they point to."""
    root = folder.path / "refs"
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    names = [str(path.relative_to(root)) for path in files]
    found: dict[str, str] = {}
    for name in names:
        commit = folder.commit(name) or ""
        found[commit] = f"{found[commit]}, {name}" if commit in found else name
    return found


def _state(folder: ModelFolder, commit: str) -> str:
    """Compare a snapshot with its manifest, and return the result in words."""
    try:
        manifest = manifests.load(folder.manifest(commit))
    except Failed:
        return "manifest unreadable"
    if manifest is None:
        return "not verified"
    if faults := faults_of(folder, manifest):
        changed = faults[0].kind == "changed"
        return str(faults[0]) if changed else f"incomplete: {faults[0]}"
    return f"all files, {min(entry.verified for entry in manifest.wanted)[:10]}"


def _size(folder: Path) -> int:
    """Return the bytes of the files below a folder. A file with two links counts once."""
    sizes = {}
    for path in folder.rglob("*"):
        try:
            facts = path.stat()
        except OSError:  # a link to a blob that is missing
            continue
        if path.is_file():
            sizes[facts.st_ino] = facts.st_size
    return sum(sizes.values())


@dataclass(frozen=True)
class Removed:
    """The folder of a removed model, and the bytes that it held."""

    path: Path
    bytes: int


def remove_model(model: str, cache: Path | None = None, *, dry_run: bool = False) -> Removed:
    """Remove all snapshots of a model from the cache. Raises Refused if it is not there or is being fetched."""
    folder = ModelFolder(cache or cache_folder(), model)
    if folder.path.is_symlink() or not folder.path.is_dir():
        raise Refused(
            f"'{model}' is not in the cache", why=f"'{folder.path}' does not exist", fix="invoke models"
        )
    found = Removed(folder.path, _size(folder.blobs))
    if dry_run:
        return found
    locks = BlobLocks(folder)
    try:
        for blob in _locked(folder):
            if holder := locks.take(blob):
                raise Refused(f"'{model}' is being fetched by {holder}", fix="invoke models")
        for part in ORDER:
            shutil.rmtree(folder.path / part, ignore_errors=not (folder.path / part).exists())
        shutil.rmtree(folder.path)
    except OSError as error:
        raise Failed(f"cannot remove '{folder.path}'", why=str(error), fix=f"ls -l {folder.path}") from None
    finally:
        locks.release_all()
    shutil.rmtree(folder.locks, ignore_errors=True)
    return found


def _locked(folder: ModelFolder) -> list[str]:
    """Return the blobs that have a lock file."""
    return sorted({path.stem for path in folder.locks.glob("*.lock")}) if folder.locks.is_dir() else []
