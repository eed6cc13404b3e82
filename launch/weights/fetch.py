"""Fetch a model into the Hugging Face cache: only what is missing, nothing unproven, nothing half there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from errors import Failed
from launch import atomic_write
from launch.http.retry import RetryPolicy
from launch.weights import manifest as manifests
from launch.weights.fetch_plan import Order, is_proven, plan, remember, require_room
from launch.weights.manifest import Entry
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot, check, described, fault, link, point, require_inside
from launch.weights.sources.hub import Hub, endpoint_of
from launch.weights.sources.source import Source
from launch.weights.sources.xet import Xet
from launch.weights.transfer import partial_file
from launch.weights.transfer.scheduler import STREAMS, Transfer, explained

PATH_MAX = 4096  # bytes of a path, its end included, that Linux takes
BESIDE = 100  # bytes that the name of a link may have before it gets its own


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
    patience: RetryPolicy | None = None,
    show: Callable[[TransferProgress], None] = lambda meter: None,
) -> Snapshot:
    """Fetch what is missing of a model, prove every byte of it, and return its snapshot.

    `show` is called a few times a second, from the calling thread. `endpoint` overrides HF_ENDPOINT;
    `source` is a bundle or a folder in the Hub's place. Raises Failed, or Refused for a name that is none.
    """
    patience = patience or RetryPolicy()
    if source is None and is_offline():
        return check(model, revision, cache)
    source = source or Hub(
        model, endpoint_of(endpoint), replace(patience, attempts=min(6, patience.attempts))
    )
    order = plan(model, source, revision=revision, include=include, exclude=exclude, cache=cache)
    return carry_out(order, source, streams=streams, patience=patience, show=show)


def carry_out(
    order: Order,
    source: Source,
    *,
    streams: int = STREAMS,
    patience: RetryPolicy | None = None,
    xet: Xet | None = None,
    show: Callable[[TransferProgress], None] = lambda meter: None,
) -> Snapshot:
    """Do it. The manifest is written first, so that what is missing has a name, and last, as proof."""
    place, manifest = order.place, order.manifest
    if not order.bring and not _unlinked(order):
        return described(place, manifest, manifest.revision)
    _require_short(order)
    partial_file.tidy(place)
    require_room(place, order.to_write)
    try:
        require_inside(place, manifest.commit)
        place.blobs.mkdir(parents=True, exist_ok=True)
        place.snapshot(manifest.commit).mkdir(parents=True, exist_ok=True)
        manifests.save(manifest, place.manifest(manifest.commit))
        if xet:
            xet.bring(place, manifest, order.bring)
        fetched = _bring(order, source, streams, patience or RetryPolicy(), show)
        point(place, manifest.revision, manifest.commit)
        atomic_write.sync_tree(place.folder)
    except OSError as error:
        raise explained(error, place.cache) from error
    if broken := [line for one in manifest.wanted if (line := fault(place, manifest.commit, one))]:
        raise Failed(
            f"{place.model}: the names in the snapshot do not lead to what was fetched",
            why="; ".join(broken[:5]),
            fix=f"something else changes {place.folder}: stop it, or move the folder away, then fetch again",
        )
    return described(place, manifest, manifest.revision, fetched)


def _require_short(order: Order) -> None:
    """Refuse names that the system has no room for below this cache. Raises Failed."""
    folder = len(os.fsencode(order.place.snapshot(order.manifest.commit)))
    if folder + max(len(entry.path.encode()) for entry in order.manifest.wanted) + BESIDE > PATH_MAX:
        raise Failed(
            f"the path of {order.place.cache} is too long for the names of {order.place.model}",
            why=f"a path has at most {PATH_MAX} bytes; nothing was fetched",
            fix="use --cache DIR with a shorter one",
        )


def _unlinked(order: Order) -> bool:
    """Whether a name is missing although its bytes are here, or the branch points elsewhere."""
    place, manifest = order.place, order.manifest
    if place.commit(manifest.revision) != manifest.commit:
        return True
    return any(fault(place, manifest.commit, entry) for entry in manifest.wanted)


def _bring(
    order: Order,
    source: Source,
    streams: int,
    patience: RetryPolicy,
    show: Callable[[TransferProgress], None],
) -> int:
    """Transfer, then link and stamp what is proven, also after a failure. Returns bytes transferred."""
    place, manifest = order.place, order.manifest
    meter = TransferProgress(
        total=manifest.size, start=manifest.size - sum(entry.size for entry in order.bring)
    )
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


def _stamp(order: Order, proven: list[Entry]) -> None:
    """Write into the manifest what was proven now, and link what is here."""
    by_blob = {entry.blob: entry for entry in proven}
    wanted = order.manifest.wanted
    stamped = [
        replace(by_blob[entry.blob], path=entry.path, wanted=True)
        for entry in wanted
        if entry.blob in by_blob
    ]
    path = order.place.manifest(order.manifest.commit)
    current = remember(order.manifest, manifests.load(path))  # another process may have proven its share
    manifests.save(current.with_entries(stamped), path)  # before a name that cannot be made loses the proof
    for entry in wanted:
        if entry.blob in by_blob or is_proven(order.place, entry):
            link(order.place, order.manifest.commit, entry)


def is_offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask a Hub."""
    return environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
