"""Prove a snapshot without a network: names and sizes always, every byte with `deep`; and mend it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from errors import Failed
from launch.weights import manifest as manifests
from launch.weights import safe_read
from launch.weights.cache import Place, cache_folder
from launch.weights.fetch import fetch
from launch.weights.hashing import prove
from launch.weights.manifest import BLOB, Entry, Manifest, checked
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot, described, fault, fetch_command
from launch.weights.transfer.scheduler import explained

INDEX = "model.safetensors.index.json"
NO_HASH = "0" * 64  # stands for a file of which nobody knows what it should be
HASHLESS = "it is no link to a blob, so nobody knows its hash"
WRONG = "has the wrong content"


@dataclass(frozen=True)
class Report:
    """What verifying found. `bad` has a line for each file that is missing, short or wrong."""

    snapshot: Snapshot
    deep: bool
    bad: tuple[str, ...]
    mended: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The values of `invoke verify --format json`."""
        found = {"deep": self.deep, "bad": list(self.bad), "mended": list(self.mended)}
        return {**self.snapshot.as_dict(), **found, "ok": not self.bad}


def verify(
    model: str,
    *,
    revision: str = "main",
    cache: Path | None = None,
    deep: bool = False,
    repair: bool = False,
    endpoint: str | None = None,
    show: Callable[[TransferProgress], None] = lambda meter: None,
) -> Report:
    """Check a snapshot against its manifest, offline unless `repair` finds something to fetch.

    A snapshot that another tool downloaded has no manifest: its blobs' names are their hashes, so `deep`
    proves it too, and writes the manifest. Raises Failed where there is no snapshot.
    """
    place = Place((cache or cache_folder()).absolute(), model)
    commit = place.commit(revision)
    if commit is None or not place.snapshot(commit).is_dir():
        why = f"there is no {revision} in {place.folder}"
        raise Failed(f"{model} is not in the cache", why=why, fix=fetch_command(model, revision, cache))
    kept = manifests.load(place.manifest(commit))
    manifest = kept or _from_links(place, commit)
    bad = {e.path: line for e in manifest.wanted if (line := fault(place, commit, e))}
    if deep:
        bad |= _hash(place, manifest, [e for e in manifest.wanted if e.path not in bad], show)
    elif not place.manifest(commit).is_file():
        bad[""] = "it has no manifest: only --deep can prove it"
    report = Report(described(place, manifest, revision), deep, tuple(bad.values()))
    if not (repair and bad):
        return report
    _forget(place, manifest, list(bad))
    include = tuple(escape(entry.path) for entry in manifest.wanted) if kept else ()
    fetch(model, revision=commit, include=include, cache=cache, endpoint=endpoint, show=show)
    return replace(report, bad=(), mended=report.bad)


def _hash(
    place: Place, manifest: Manifest, entries: list[Entry], show: Callable[[TransferProgress], None]
) -> dict[str, str]:
    """Hash files in parallel; stamp the good ones in the manifest, return a line for each bad one."""
    meter = TransferProgress(total=sum(entry.size for entry in entries))
    stop = threading.Event()

    def one(entry: Entry) -> Entry | str:
        meter.begin(entry.path, entry.size)
        at = place.snapshot(manifest.commit) / entry.path
        try:
            found = prove(entry, at, lambda count: meter.add(entry.path, count), stop)
        except OSError as error:
            return f"{entry.path} cannot be read: {error.strerror}"
        finally:
            meter.end(entry.path)
        return found or f"{entry.path} {'cannot be proven: ' + HASHLESS if entry.blob == NO_HASH else WRONG}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            asked = {pool.submit(one, entry): entry for entry in sorted(entries, key=lambda e: -e.size)}
            _watch(set(asked), meter, show)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    found = {entry.path: future.result() for future, entry in asked.items()}
    proven = [one for one in found.values() if isinstance(one, Entry)]
    with contextlib.suppress(OSError):  # a cache that is read-only can be proven all the same
        manifests.save(manifest.with_entries(proven), place.manifest(manifest.commit))
    return {path: line for path, line in found.items() if isinstance(line, str)}


def _watch(
    futures: set[Future[Entry | str]], meter: TransferProgress, show: Callable[[TransferProgress], None]
) -> None:
    while futures:
        _, futures = wait(futures, timeout=0.2)
        show(meter)


def _forget(place: Place, manifest: Manifest, paths: list[str]) -> None:
    """Take the proof back from these files, so that a fetch brings them again, and then puts them in their place."""
    try:
        current = manifests.load(place.manifest(manifest.commit)) or manifest
        doubted = [replace(e, verified="", mtime_ns=0) for e in current.entries if e.path in paths]
        manifests.save(current.with_entries(doubted), place.manifest(manifest.commit))
    except OSError as error:
        raise explained(error, place.cache) from error


def _from_links(place: Place, commit: str) -> Manifest:
    """A manifest for what another tool downloaded: what the names of its blobs promise, and nothing of the rest."""
    root = place.snapshot(commit)
    found = {one.path: one for at in sorted(root.rglob("*")) if (one := _linked(root, at))}
    if not found:
        fix = fetch_command(place.model, commit, place.cache)
        raise Failed(f"{place.model} at {commit[:12]} is empty", why=f"{root} holds no file", fix=fix)
    for shard in _shards(root / INDEX) - found.keys():
        found[shard] = Entry(shard, 0, NO_HASH)
    return checked(Manifest(place.model, commit, commit, tuple(found.values())))


def _linked(root: Path, at: Path) -> Entry | None:
    """The entry of a name in the snapshot, without a hash where it is no link to a blob; None for a folder."""
    if not at.is_symlink() and at.is_dir():
        return None
    blob = at.readlink().name if at.is_symlink() else ""
    size = at.stat().st_size if at.exists() else -1
    blob = blob if BLOB.fullmatch(blob) else NO_HASH
    return Entry(at.relative_to(root).as_posix(), max(0, size), blob, blob if len(blob) == 64 else "")


def _shards(index: Path) -> set[str]:
    """The files that an index names, none where there is no readable index."""
    try:
        return {str(name) for name in json.loads(safe_read.read(index, 64 << 20))["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return set()
