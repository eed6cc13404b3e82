"""Read a model in a Hugging Face cache: with the commits and hashes of its source, and without reading the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from errors import Failed
from launch.hub_server.file_hashes import FileHashes
from launch.hub_server.repository import (
    MAIN,
    FileState,
    Repository,
    ServedFile,
    ServedModel,
    git_hash,
    is_in_lfs,
)
from launch.weights import manifest as manifests
from launch.weights.cache import COMMIT, ModelFolder
from launch.weights.file_state import name_fault
from launch.weights.manifest import BLOB, Entry, Manifest

UNVERIFIED = "the files of {commit} were never verified on this host: invoke verify {model} --deep"


def read_model(folder: ModelFolder, hashes: FileHashes) -> ServedModel:
    """Return every snapshot of a model. Only copies that no manifest and no blob's name has a hash of are read."""
    root = folder.path / "snapshots"
    commits = (
        sorted(path.name for path in root.iterdir() if COMMIT.fullmatch(path.name)) if root.is_dir() else []
    )
    repositories = {commit: _read_snapshot(folder, commit, hashes) for commit in commits}
    hashes.save()
    refs = {name: commit for name, commit in _refs(folder).items() if commit in repositories}
    if MAIN not in refs and commits:
        refs[MAIN] = max(commits, key=lambda commit: folder.snapshot(commit).stat().st_mtime)
    return ServedModel(folder.model, repositories, refs)


def _refs(folder: ModelFolder) -> dict[str, str]:
    root = folder.path / "refs"
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
    return {name: commit for name in names if (commit := folder.commit(name))}


def _read_snapshot(folder: ModelFolder, commit: str, hashes: FileHashes) -> Repository:
    try:
        manifest = manifests.load(folder.manifest(commit))
    except Failed:
        manifest = None
    return _verified(folder, manifest) if manifest else _by_names(folder, commit, hashes)


def _verified(folder: ModelFolder, manifest: Manifest) -> Repository:
    """Return the whole listing of the source. Files that are absent or changed are in it, and not served."""
    files = tuple(_of_entry(folder, manifest.commit, entry) for entry in manifest.entries)
    return Repository(folder.model, files, manifest.commit, manifest.licence)


def _of_entry(folder: ModelFolder, commit: str, entry: Entry) -> ServedFile:
    fault = name_fault(folder, commit, entry)
    path = folder.snapshot(commit) / entry.path
    file = _with_hash(entry.path, path, entry.size, entry.blob)
    if fault:
        return replace(file, fault=fault.text)
    return replace(file, state=FileState(entry.size, entry.mtime_ns, path.stat().st_ino))


def _with_hash(name: str, path: Path, size: int, blob: str) -> ServedFile:
    """Return a file whose hash is known: SHA-256 for one in LFS, else git's."""
    if len(blob) == 40:
        return ServedFile(name, path, size, blob, "", in_lfs=False)
    file = ServedFile(name, path, size, "", blob, in_lfs=True)
    return replace(file, blob_id=git_hash(file.pointer))


def _by_names(folder: ModelFolder, commit: str, hashes: FileHashes) -> Repository:
    """Return what another tool downloaded: a blob's name is its hash, and clients that verify use it."""
    root = folder.snapshot(commit)
    paths = sorted(path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    files = [_of_link(folder, root, path, hashes) for path in paths]
    note = UNVERIFIED.format(commit=commit[:12], model=folder.model)
    notes = (note, *(file for file in files if isinstance(file, str)))
    served = tuple(file for file in files if isinstance(file, ServedFile))
    return Repository(folder.model, served, commit, "", notes)


def _of_link(folder: ModelFolder, root: Path, path: Path, hashes: FileHashes) -> ServedFile | str:
    """Return a file of a snapshot, or why it is not served."""
    name, target = path.relative_to(root).as_posix(), path.resolve()
    try:
        if not target.is_relative_to(folder.path.resolve()):
            return f"{name} is a link out of the cache, to {target}"
        state = FileState.of(target.stat())
        if path.is_symlink() and target.parent == folder.blobs.resolve() and BLOB.fullmatch(target.name):
            return replace(_with_hash(name, path, state.size, target.name), state=state)
        found = hashes.of(path)
    except OSError as error:
        return f"{name} cannot be read: {error.strerror or error}"
    blob = found.sha256 if is_in_lfs(name, found.state.size) else found.git
    return replace(_with_hash(name, path, found.state.size, blob), state=found.state)
