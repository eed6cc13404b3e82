"""Prove a snapshot without a network: names and sizes always, every byte with `deep`; and mend it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from errors import Failed
from launch.weights import manifest as manifests
from launch.weights.cache import Place, cache_folder
from launch.weights.fetching import fetch
from launch.weights.manifest import BLOB, Entry, Manifest, checked
from launch.weights.meter import Meter
from launch.weights.proof import prove
from launch.weights.snapshot import Snapshot, described, fault, fetch_command
from launch.weights.transfer import explained

INDEX = "model.safetensors.index.json"


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
    show: Callable[[Meter], None] = lambda meter: None,
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
    manifest = manifests.load(place.manifest(commit)) or _from_links(place, commit)
    bad = {e.path: line for e in manifest.wanted if (line := fault(place, commit, e))}
    if deep:
        bad |= _hash(place, manifest, [e for e in manifest.wanted if e.path not in bad], show)
    elif not place.manifest(commit).is_file():
        bad[""] = "it has no manifest: only --deep can prove it"
    report = Report(described(place, manifest, revision), deep, tuple(bad.values()))
    if not (repair and bad):
        return report
    _forget(place, manifest, list(bad))
    fetch(model, revision=commit, cache=cache, endpoint=endpoint, show=show)
    return replace(report, bad=(), mended=report.bad)


def _hash(
    place: Place, manifest: Manifest, entries: list[Entry], show: Callable[[Meter], None]
) -> dict[str, str]:
    """Hash files in parallel; stamp the good ones in the manifest, return a line for each bad one."""
    meter = Meter(total=sum(entry.size for entry in entries))
    stop = threading.Event()

    def one(entry: Entry) -> Entry | None:
        meter.begin(entry.path, entry.size)
        at = place.snapshot(manifest.commit) / entry.path
        found = prove(entry, at, lambda count: meter.add(entry.path, count), stop)
        meter.end(entry.path)
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            asked = {pool.submit(one, entry): entry for entry in sorted(entries, key=lambda e: -e.size)}
            _watch(set(asked), meter, show)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    proven = {entry.path: found for future, entry in asked.items() if (found := future.result())}
    with contextlib.suppress(OSError):  # a cache that is read-only can be proven all the same
        manifests.save(manifest.with_entries(proven.values()), place.manifest(manifest.commit))
    return {
        entry.path: f"{entry.path} has the wrong content" for entry in entries if entry.path not in proven
    }


def _watch(futures: set[Future[Entry | None]], meter: Meter, show: Callable[[Meter], None]) -> None:
    while futures:
        _, futures = wait(futures, timeout=0.2)
        show(meter)


def _forget(place: Place, manifest: Manifest, paths: list[str]) -> None:
    """Take the proof back from these files, so that a fetch brings them again."""
    current = manifests.load(place.manifest(manifest.commit)) or manifest
    doubted = [replace(e, verified="", mtime_ns=0) for e in current.entries if e.path in paths]
    manifests.save(current.with_entries(doubted), place.manifest(manifest.commit))
    try:
        for entry in doubted:
            (place.snapshot(manifest.commit) / entry.path).unlink(missing_ok=True)
    except OSError as error:
        raise explained(error, place.cache) from error


def _from_links(place: Place, commit: str) -> Manifest:
    """A manifest for what another tool downloaded: what the names of its blobs promise."""
    root = place.snapshot(commit)
    entries = [_linked(root, at) for at in sorted(root.rglob("*")) if at.is_symlink()]
    found = {entry.path: entry for entry in entries if BLOB.fullmatch(entry.blob)}
    for shard in _shards(root / INDEX) - found.keys():
        found[shard] = Entry(shard, 0, "0" * 64)
    return checked(Manifest(place.model, commit, commit, tuple(found.values())))


def _linked(root: Path, at: Path) -> Entry:
    blob = at.readlink().name
    size = at.stat().st_size if at.exists() else -1
    return Entry(at.relative_to(root).as_posix(), max(0, size), blob, blob if len(blob) == 64 else "")


def _shards(index: Path) -> set[str]:
    """The files that an index names, none where there is no readable index."""
    try:
        return {str(name) for name in json.loads(index.read_text())["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError):
        return set()
