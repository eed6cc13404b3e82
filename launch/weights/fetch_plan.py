"""What a fetch will do: which files are wanted, which of them are here and proven, and whether there is room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch.weights import manifest as manifests
from launch.weights.cache import Place, cache_folder
from launch.weights.manifest import Entry, Manifest
from launch.weights.progress import amount
from launch.weights.sources.source import Source
from launch.weights.transfer import partial_file

SPARE = 64 << 20  # bytes that stay free on the disk


@dataclass(frozen=True)
class Order:
    """What a fetch will do: the manifest it works towards, and the blobs to bring, one entry each."""

    place: Place
    manifest: Manifest
    bring: tuple[Entry, ...]
    here: int  # bytes of `bring` that an earlier fetch left
    ours: int  # those of them that need no further room: what another host left is copied

    @property
    def to_fetch(self) -> int:
        """Bytes to transfer."""
        return sum(entry.size for entry in self.bring) - self.here

    @property
    def to_write(self) -> int:
        """Bytes that the disk needs room for."""
        return sum(entry.size for entry in self.bring) - self.ours

    def as_dict(self) -> dict[str, Any]:
        """The values of `invoke fetch --dry-run --format json`."""
        missing = {entry.blob for entry in self.bring}
        files = [{"path": e.path, "size": e.size, "fetch": e.blob in missing} for e in self.manifest.wanted]
        facts = {
            "model": self.manifest.model,
            "revision": self.manifest.revision,
            "commit": self.manifest.commit,
        }
        return {**facts, "licence": self.manifest.licence, "to_fetch": self.to_fetch, "files": files}


def plan(
    model: str,
    source: Source,
    *,
    revision: str = "main",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    cache: Path | None = None,
) -> Order:
    """What a fetch would do, found out without writing anything."""
    place = Place((cache or cache_folder()).absolute(), model)
    place.commit(revision)  # refuses a revision that is none
    if os.path.lexists(place.cache) and not place.cache.is_dir():
        link = f"it is a link to {place.cache.readlink()}" if place.cache.is_symlink() else ""
        raise Refused(f"{place.cache} is not a folder", why=link, fix="use --cache DIR")
    listed = choose(source.manifest(revision), include, exclude)
    known = remember(listed, manifests.load(place.manifest(listed.commit)))
    blobs = {entry.blob: entry for entry in known.wanted if not is_proven(place, entry)}
    bring = tuple(blobs.values())
    return Order(place, known, bring, *_left_over(place, bring))


def choose(manifest: Manifest, include: tuple[str, ...], exclude: tuple[str, ...]) -> Manifest:
    """Mark the files that the patterns leave out. Raises Refused where nothing is left."""

    included, excluded = _matcher(include or ("*",)), _matcher(exclude)
    # What is not wanted in the listing itself, a bundle does not hold.
    entries = tuple(
        replace(entry, wanted=entry.wanted and included(entry.path) and not excluded(entry.path))
        for entry in manifest.entries
    )
    if not entries:
        fix = "check the name and --revision"
        raise Failed(
            f"{manifest.model} has no files at {manifest.commit[:12]}", why="its listing is empty", fix=fix
        )
    if not any(entry.wanted for entry in entries):
        names = ", ".join(entry.path for entry in manifest.entries[:5])
        raise Refused(
            f"no file of {manifest.model} is left to fetch",
            why=f"of {len(entries)} files ({names}, ...) the patterns leave none",
            fix="check --include and --exclude",
        )
    return replace(manifest, entries=entries)


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path is one of these, or fits one; names by the thousand cost no more than one."""
    # A folder's name stands for all in it, as with `hf download`.
    globs = [one + "*" if one.endswith("/") else one for one in patterns]
    names = {one for one in globs if not any(sign in one for sign in "*?[")}
    globs = [one for one in globs if one not in names]
    return lambda path: path in names or any(fnmatch(path, one) for one in globs)


def remember(listed: Manifest, before: Manifest | None) -> Manifest:
    """The listing with what an earlier manifest proved; what was wanted then still is."""
    if before is None:
        return listed
    old = {entry.path: entry for entry in before.entries}

    def merged(entry: Entry) -> Entry:
        then = old.get(entry.path)
        if then is None or (then.blob, then.size) != (entry.blob, entry.size):
            return entry
        return replace(then, wanted=entry.wanted or then.wanted)

    return replace(listed, entries=tuple(merged(entry) for entry in listed.entries))


def is_proven(place: Place, entry: Entry) -> bool:
    """Whether these bytes were hashed once and have not been touched since."""
    try:
        blob = (place.blobs / entry.blob).stat()
    except OSError:
        return False
    return bool(entry.verified) and (blob.st_size, blob.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _left_over(place: Place, bring: Iterable[Entry]) -> tuple[int, int]:
    """Bytes that earlier fetches left: of all hosts, and of this one. Raises Failed where nobody lets us look."""
    here = ours = 0
    try:
        left = partial_file.found(place)
        for entry in bring:
            own = (place.blobs / entry.blob, partial_file.own(place, entry.blob))
            here += _longest(entry, (*own, *left.get(entry.blob, [])))
            ours += _longest(entry, own)
    except OSError as error:
        raise Failed(
            f"cannot look into {place.blobs}",
            why=str(error),
            fix="let its owner allow it, or use --cache DIR with a folder of your own",
        ) from error
    return here, ours


def _longest(entry: Entry, files: Iterable[Path]) -> int:
    return max(partial_file.length(at, entry.size) for at in files)


def require_room(place: Place, needed: int) -> None:
    """Refuse before the first byte where the disk is too small. Raises Failed."""
    folder = next(at for at in (place.blobs, *place.blobs.parents) if at.exists())
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise Failed(
            f"{place.model} needs {amount(needed)} more, and {folder} has {amount(free)} free",
            why=f"{amount(SPARE)} stay free; nothing was fetched",
            fix="make room, or use --cache DIR on another disk",
        )
