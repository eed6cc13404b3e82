"""Fetch a model into the Hugging Face cache: only what is missing, nothing unproven, nothing half there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch.weights import manifest as manifests
from launch.weights.cache import Place, cache_folder
from launch.weights.hub import Hub, endpoint_of
from launch.weights.manifest import Entry, Manifest
from launch.weights.meter import Meter, amount
from launch.weights.patience import Patience
from launch.weights.snapshot import Snapshot, check, described, fault, link, point
from launch.weights.sources import Source
from launch.weights.transfer import STREAMS, Transfer, explained
from launch.weights.xet import Xet

SPARE = 64 << 20  # bytes that stay free on the disk


@dataclass(frozen=True)
class Order:
    """What a fetch will do: the manifest it works towards, and the blobs to bring, one entry each."""

    place: Place
    manifest: Manifest
    bring: tuple[Entry, ...]
    here: int  # bytes of `bring` that an earlier fetch left

    @property
    def to_fetch(self) -> int:
        """Bytes to transfer."""
        return sum(entry.size for entry in self.bring) - self.here

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


def fetch(
    model: str,
    *,
    revision: str = "main",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    cache: Path | None = None,
    endpoint: str | None = None,
    source: Source | None = None,
    streams: int = STREAMS,
    patience: Patience | None = None,
    show: Callable[[Meter], None] = lambda meter: None,
) -> Snapshot:
    """Fetch what is missing of a model, prove every byte of it, and return its snapshot.

    `show` is called a few times a second, from the calling thread. `endpoint` overrides HF_ENDPOINT;
    `source` is a bundle or a folder in the Hub's place. Raises Failed, or Refused for a name that is none.
    """
    patience = patience or Patience()
    if source is None and is_offline():
        return check(model, revision, cache)
    source = source or Hub(
        model, endpoint_of(endpoint), replace(patience, attempts=min(6, patience.attempts))
    )
    order = plan(model, source, revision=revision, include=include, exclude=exclude, cache=cache)
    return carry_out(order, source, streams=streams, patience=patience, show=show)


def is_offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask a Hub."""
    return environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


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
    listed = choose(source.manifest(revision), include, exclude)
    known = remember(listed, manifests.load(place.manifest(listed.commit)))
    blobs = {entry.blob: entry for entry in known.wanted if not _proven(place, entry)}
    here = sum(_left_over(place, entry) for entry in blobs.values())
    return Order(place, known, tuple(blobs.values()), here)


def choose(manifest: Manifest, include: tuple[str, ...], exclude: tuple[str, ...]) -> Manifest:
    """Mark the files that the patterns leave out. Raises Refused where nothing is left."""

    def wanted(path: str) -> bool:
        return (not include or _any(path, include)) and not _any(path, exclude)

    entries = tuple(replace(entry, wanted=wanted(entry.path)) for entry in manifest.entries)
    if not any(entry.wanted for entry in entries):
        names = ", ".join(entry.path for entry in manifest.entries[:5])
        raise Refused(
            f"no file of {manifest.model} is left to fetch",
            why=f"of {len(entries)} files ({names}, ...) the patterns leave none",
            fix="check --include and --exclude",
        )
    return replace(manifest, entries=entries)


def _any(path: str, patterns: Iterable[str]) -> bool:
    # A folder's name stands for all in it, as with `hf download`.
    return any(fnmatch(path, one + "*" if one.endswith("/") else one) for one in patterns)


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


def _proven(place: Place, entry: Entry) -> bool:
    """Whether these bytes were hashed once and have not been touched since."""
    try:
        blob = (place.blobs / entry.blob).stat()
    except OSError:
        return False
    return bool(entry.verified) and (blob.st_size, blob.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _left_over(place: Place, entry: Entry) -> int:
    found = [place.blobs / entry.blob, *place.blobs.glob(f"{entry.blob}.slipway-*.incomplete")]
    return max((min(at.stat().st_size, entry.size) for at in found if at.is_file()), default=0)


def carry_out(
    order: Order,
    source: Source,
    *,
    streams: int = STREAMS,
    patience: Patience | None = None,
    xet: Xet | None = None,
    show: Callable[[Meter], None] = lambda meter: None,
) -> Snapshot:
    """Do it. The manifest is written first, so that what is missing has a name, and last, as proof."""
    place, manifest = order.place, order.manifest
    if not order.bring and not _unlinked(order):
        return described(place, manifest, manifest.revision)
    require_room(place, order.to_fetch)
    try:
        place.blobs.mkdir(parents=True, exist_ok=True)
        place.snapshot(manifest.commit).mkdir(parents=True, exist_ok=True)
        manifests.save(manifest, place.manifest(manifest.commit))
        if xet:
            xet.bring(place, manifest, order.bring)
        fetched = _bring(order, source, streams, patience or Patience(), show)
        point(place, manifest.revision, manifest.commit)
    except OSError as error:
        raise explained(error, place.cache) from error
    return described(place, manifest, manifest.revision, fetched)


def _unlinked(order: Order) -> bool:
    """Whether a name is missing although its bytes are here, or the branch points elsewhere."""
    place, manifest = order.place, order.manifest
    if place.commit(manifest.revision) != manifest.commit:
        return True
    return any(fault(place, manifest.commit, entry) for entry in manifest.wanted)


def _bring(
    order: Order, source: Source, streams: int, patience: Patience, show: Callable[[Meter], None]
) -> int:
    """Transfer, then link and stamp what is proven, also after a failure. Returns bytes transferred."""
    place, manifest = order.place, order.manifest
    meter = Meter(total=manifest.size, start=manifest.size - sum(_sizes(order)))
    transfer = Transfer(source, place, meter, patience, streams)
    try:
        outcome = transfer.run(order.bring, show)
    finally:
        _stamp(order, transfer.outcome.proven)
    show(meter)
    if outcome.bad:
        bad = f"{len(outcome.bad)} of {len(manifest.wanted)} files have the wrong content"
        raise Failed(
            f"{bad}: {', '.join(outcome.bad)}",
            why=f"fetched twice from {manifest.source}, and twice their hash was not the one listed",
            fix="everything else is here; fetch again later, or from another mirror with HF_ENDPOINT",
        )
    return outcome.fetched


def _sizes(order: Order) -> list[int]:
    """Sizes of the files whose blobs are still to be brought, a blob counted once."""
    return [entry.size for entry in order.bring]


def _stamp(order: Order, proven: list[Entry]) -> None:
    """Link what is here, and write into the manifest what was proven now."""
    by_blob = {entry.blob: entry for entry in proven}
    stamped = []
    for entry in order.manifest.wanted:
        if found := by_blob.get(entry.blob):
            stamped.append(replace(found, path=entry.path, wanted=True))
        if found or _proven(order.place, entry):
            link(order.place, order.manifest.commit, entry)
    path = order.place.manifest(order.manifest.commit)
    current = remember(order.manifest, manifests.load(path))  # another process may have proven its share
    manifests.save(current.with_entries(stamped), path)


def require_room(place: Place, needed: int) -> None:
    """Refuse before the first byte where the disk is too small. Raises Failed."""
    folder = next(at for at in (place.blobs, *place.blobs.parents) if at.exists())
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise Failed(
            f"{place.model} needs {amount(needed)} more, and {folder} has {amount(free)} free",
            why="nothing was fetched",
            fix="make room, or use --cache DIR on another disk",
        )
