"""Verify a snapshot offline: what changed since its bytes were hashed, with `deep` every byte; repair it if asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from errors import Failed
from launch.weights import manifest as manifests
from launch.weights import safe_read
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.fetch import OnProgress, fetch_model
from launch.weights.fetch_plan import merge
from launch.weights.file_state import Fault
from launch.weights.hash_snapshot import UNKNOWN_HASH, hash_files
from launch.weights.hashing import mark_unverified
from launch.weights.local_download import NOTES, DownloadFolder, notes
from launch.weights.manifest import BLOB, Entry, Manifest, checked
from launch.weights.snapshot import Snapshot, absence, described, fetch_command, file_faults
from launch.weights.transfer.scheduler import explain

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Report:
    """The result: the files that are not the verified ones, and those that a repair brought again.

    `known` is false for a snapshot of another tool, which has no manifest: only `deep` can verify it.
    """

    snapshot: Snapshot
    deep: bool
    faults: tuple[Fault, ...]
    known: bool = True
    repaired: tuple[Fault, ...] = ()

    @property
    def bad(self) -> tuple[str, ...]:
        """A line for each fault."""
        return tuple(map(str, self.faults))

    @property
    def ok(self) -> bool:
        """Whether every file is known to be the listed one."""
        return self.known and not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke verify --format json`."""
        faults = {"faults": list(map(asdict, self.faults)), "repaired": list(map(asdict, self.repaired))}
        return {**self.snapshot.as_dict(), "deep": self.deep, "known": self.known, **faults, "ok": self.ok}


def verify_model(
    model: str,
    *,
    revision: str = "main",
    cache: Path | None = None,
    deep: bool = False,
    repair: bool = False,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda progress: None,
    digest: str = "",
) -> Report:
    """Check a snapshot against its manifest, offline unless `repair` has something to fetch.

    A snapshot that another tool downloaded has no manifest. Its blobs' names are their hashes, so `deep` verifies
    it too, and writes the manifest. `digest` is the one that the list of files must have. Raises Failed if there is no
    snapshot.
    """
    folder = ModelFolder((cache or cache_folder()).absolute(), model)
    commit = folder.commit(revision)
    if commit is None or not folder.snapshot(commit).is_dir():
        why = absence(folder, revision)
        at = f" at {commit[:12]}" if commit else ""
        raise Failed(f"{model}{at} is not in the cache", why=why, fix=fetch_command(model, revision, cache))
    stored = manifests.load(folder.manifest(commit))
    manifest = stored or _from_links(folder, commit)
    manifests.require_digest(manifest, digest, fetch_command(model, revision, cache))
    report = _report(folder, manifest, revision, stored is not None, deep, on_progress)
    if report.ok or not repair:
        return report
    _mark_unverified(folder, manifest, [fault.path for fault in report.faults])
    include = tuple(escape(entry.path) for entry in manifest.wanted) if stored else ()
    fetch_model(
        model, revision=commit, include=include, cache=cache, endpoint=endpoint, on_progress=on_progress
    )
    return replace(report, faults=(), known=True, repaired=report.faults)


def verify_folder(
    folder: Path, *, deep: bool = False, on_progress: OnProgress = lambda progress: None
) -> Report:
    """Check a folder that `hf download --local-dir` made against its notes, as `verify_model` does a snapshot.

    Raises Failed for a folder without notes: no hash of its files is known.
    """
    download = DownloadFolder(folder.absolute(), folder.name)
    if not (known := notes(folder)):
        raise Failed(
            f"no hash of the files in '{folder}' is known",
            why=f"`hf download --local-dir` leaves them in {NOTES}, and there is none",
            fix="invoke fetch ORGANIZATION/NAME downloads a model and verifies it",
        )
    commit = max(known.values(), key=lambda origin: origin.time).commit
    stored = manifests.load(download.manifest(commit))
    sizes = {(entry.path, entry.blob): entry.size for entry in stored.entries} if stored else {}
    listed = tuple(_noted(folder, name, origin.etag, sizes) for name, origin in known.items())
    manifest = checked(Manifest(folder.name, commit, commit, listed))
    return _report(download, merge(manifest, stored), commit, stored is not None, deep, on_progress)


def _noted(folder: Path, name: str, etag: str, sizes: Mapping[tuple[str, str], int]) -> Entry:
    """Return the entry of a file from its note. Notes have no size: it is the verified one, else that on disk."""
    on_disk = (folder / name).stat().st_size if (folder / name).is_file() else 0
    return Entry(name, sizes.get((name, etag), on_disk), etag, etag if len(etag) == 64 else "")


def _report(
    folder: ModelFolder, manifest: Manifest, revision: str, known: bool, deep: bool, on_progress: OnProgress
) -> Report:
    """Compare the files with a manifest, and with `deep` hash them. `known`: they were verified before."""
    faults = _faults(folder, manifest, by_hash=deep or not known)
    if deep:
        wrong = {fault.path for fault in faults}
        entries = [entry for entry in manifest.wanted if entry.path not in wrong]
        manifest, more = hash_files(folder, manifest, entries, on_progress)
        faults += more
    return Report(described(folder, manifest, revision), deep, tuple(faults), known or deep)


def _faults(folder: ModelFolder, manifest: Manifest, by_hash: bool) -> list[Fault]:
    """Return what can be seen without reading; what only a hash can decide is left out if the hashes decide."""
    faults = file_faults(folder, manifest)
    return [one for one in faults if not (by_hash and one.kind in ("changed", "unverified"))]


def _mark_unverified(folder: ModelFolder, manifest: Manifest, paths: list[str]) -> None:
    """Mark these files as not verified, so that a fetch brings them again. Raises Failed."""
    try:
        current = manifests.load(folder.manifest(manifest.commit)) or manifest
        entries = [mark_unverified(e) for e in current.entries if e.path in paths]
        manifests.save(current.with_entries(entries), folder.manifest(manifest.commit))
    except OSError as error:
        raise explain(error, folder.cache) from error


def _from_links(folder: ModelFolder, commit: str) -> Manifest:
    """Return a manifest of what another tool downloaded, from the names of its blobs. Raises Failed."""
    root = folder.snapshot(commit)
    entries = {one.path: one for path in sorted(root.rglob("*")) if (one := _linked(root, path))}
    if not entries:
        fix = fetch_command(folder.model, commit, folder.cache)
        raise Failed(f"{folder.model} at {commit[:12]} is empty", why=f"{root} has no file", fix=fix)
    for shard in _shards(root / INDEX) - entries.keys():
        entries[shard] = Entry(shard, 0, UNKNOWN_HASH)
    return checked(Manifest(folder.model, commit, commit, tuple(entries.values())))


def _linked(root: Path, path: Path) -> Entry | None:
    """Return the entry of a name in the snapshot, without a hash if it is not a link to a blob; None for a folder."""
    if not path.is_symlink() and path.is_dir():
        return None
    blob = path.readlink().name if path.is_symlink() else ""
    size = path.stat().st_size if path.exists() else -1
    blob = blob if BLOB.fullmatch(blob) else UNKNOWN_HASH
    return Entry(path.relative_to(root).as_posix(), max(0, size), blob, blob if len(blob) == 64 else "")


def _shards(index: Path) -> set[str]:
    """Return the files that an index names, or none if there is no readable index."""
    try:
        return {str(name) for name in json.loads(safe_read.read(index, 64 << 20))["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return set()
