"""Plan a fetch: which files to have, which of them are in the cache and verified, and whether the disk has space."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.file_state import content_fault, content_of
from launch.weights.manifest import Entry, Manifest
from launch.weights.source import Source
from launch.weights.transfer import partial_file


@dataclass(frozen=True)
class FetchPlan:
    """The manifest to complete, and the blobs to fetch, one entry each."""

    folder: ModelFolder
    manifest: Manifest
    missing: tuple[Entry, ...]
    partial: int  # bytes of `missing` that earlier fetches left, on all hosts
    own_partial: int  # those of this host; the others are copied and need space

    @property
    def to_fetch(self) -> int:
        """Bytes to transfer."""
        return sum(entry.size for entry in self.missing) - self.partial

    @property
    def to_write(self) -> int:
        """Bytes of free space that the disk needs."""
        return sum(entry.size for entry in self.missing) - self.own_partial

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke fetch --dry-run --format json`."""
        blobs = {entry.blob for entry in self.missing}
        files = [{"path": e.path, "size": e.size, "fetch": e.blob in blobs} for e in self.manifest.wanted]
        return {
            "model": self.manifest.model,
            "revision": self.manifest.revision,
            "commit": self.manifest.commit,
            "licence": self.manifest.licence,
            "to_fetch": self.to_fetch,
            "files": files,
        }


def plan_fetch(
    model: str,
    source: Source,
    *,
    revision: str = "main",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    cache: Path | None = None,
    digest: str = "",
) -> FetchPlan:
    """Return what a fetch would do, without writing anything. Raises Failed or Refused.

    `digest` is the one that the list of files must have; empty accepts any.
    """
    folder = ModelFolder((cache or cache_folder()).absolute(), model)
    folder.commit(revision)  # raises Refused for an invalid revision
    if os.path.lexists(folder.cache) and not folder.cache.is_dir():
        why = f"it is a link to {folder.cache.readlink()}" if folder.cache.is_symlink() else ""
        raise Refused(f"'{folder.cache}' is not a folder", why=why, fix="use --cache DIR")
    listed = select(source.manifest(revision), include, exclude)
    manifests.require_digest(
        listed, digest, f"check HF_ENDPOINT; invoke pin --model {model} pins other files"
    )
    manifest = merge(listed, manifests.load(folder.manifest(listed.commit)))
    by_blob = {
        entry.blob: entry for entry in manifest.wanted if not is_verified(folder, manifest.commit, entry)
    }
    missing = tuple(by_blob.values())
    return FetchPlan(folder, manifest, missing, *partial_file.usable_bytes(folder, manifest.commit, missing))


def select(manifest: Manifest, include: tuple[str, ...], exclude: tuple[str, ...]) -> Manifest:
    """Mark the files that the patterns leave out as not wanted. Raises Refused if none is left."""
    included, excluded = _matcher(include or ("*",)), _matcher(exclude)
    # A file that the source's manifest already marks is one that a bundle does not have.
    entries = tuple(
        replace(entry, wanted=entry.wanted and included(entry.path) and not excluded(entry.path))
        for entry in manifest.entries
    )
    if not entries:
        what = f"{manifest.model} has no files at {manifest.commit[:12]}"
        raise Failed(what, why="its listing is empty", fix="check the name and --revision")
    if not any(entry.wanted for entry in entries):
        names = ", ".join(entry.path for entry in manifest.entries[:5])
        raise Refused(
            f"no file of {manifest.model} is left to fetch",
            why=f"of {len(entries)} files ({names}, ...) the patterns select none",
            fix="check --include and --exclude",
        )
    return replace(manifest, entries=entries)


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a path matches; thousands of plain names cost no more than one."""
    # A folder's name matches everything in it, as with `hf download`.
    globs = [one + "*" if one.endswith("/") else one for one in patterns]
    names = {one for one in globs if not any(char in one for char in "*?[")}
    globs = [one for one in globs if one not in names]
    return lambda path: path in names or any(fnmatch(path, one) for one in globs)


def merge(listed: Manifest, stored: Manifest | None) -> Manifest:
    """Return the listing with what the stored manifest says of unchanged files: verified, and still wanted."""
    if stored is None:
        return listed
    by_path = {entry.path: entry for entry in stored.entries}

    def merged(entry: Entry) -> Entry:
        old = by_path.get(entry.path)
        if old is None or (old.blob, old.size) != (entry.blob, entry.size):
            return entry
        return replace(old, wanted=entry.wanted or old.wanted)

    return replace(listed, entries=tuple(merged(entry) for entry in listed.entries))


def is_verified(folder: ModelFolder, commit: str, entry: Entry) -> bool:
    """Whether the content was verified and has not been changed since: the blob, or a copy where links do not work."""
    return content_fault(content_of(folder, commit, entry), entry) is None
