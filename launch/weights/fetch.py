"""Fetch a model into the Hugging Face cache: only missing files, verified before they appear under their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from errors import Failed, SlipwayError
from launch import atomic_write
from launch.http.pool import ConnectionPool
from launch.http.retry import RetryPolicy, TransientError
from launch.weights import lfs_pointer
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder
from launch.weights.fetch_plan import FetchPlan, is_verified, merge, plan_fetch
from launch.weights.file_state import name_fault
from launch.weights.hash_snapshot import hash_files
from launch.weights.manifest import Entry
from launch.weights.preflight import require_possible
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import (
    Snapshot,
    adopt_copies,
    described,
    file_faults,
    lines_of,
    link,
    require_complete,
    require_inside,
    set_ref,
)
from launch.weights.source import Source
from launch.weights.sources.hub import Hub, endpoint_of
from launch.weights.sources.several import SeveralSources
from launch.weights.sources.xet import Xet
from launch.weights.transfer import partial_file
from launch.weights.transfer.rate_limit import RateLimit
from launch.weights.transfer.scheduler import WORKERS, Scheduler, explain
from launch.weights.transfer.shared_cache import group_permissions

OnProgress = Callable[[TransferProgress], None]


def fetch_model(
    model: str,
    *,
    revision: str = "main",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    cache: Path | None = None,
    endpoint: str | None = None,
    source: Source | None = None,
    workers: int = WORKERS,
    policy: RetryPolicy | None = None,
    on_progress: OnProgress = lambda progress: None,
    digest: str = "",
) -> Snapshot:
    """Fetch what is missing of a model, verify every byte, and return its snapshot. Raises Failed or Refused.

    `on_progress` is called a few times a second, from the calling thread. `endpoint` overrides HF_ENDPOINT;
    `source` is a bundle or a folder instead of the Hub. `digest` is the one that the list of files must have.
    """
    policy = policy or RetryPolicy()
    if source is None and is_offline():
        return require_complete(model, revision, cache, digest)
    source = source or Hub(model, endpoint_of(endpoint), replace(policy, attempts=min(6, policy.attempts)))
    plan = plan_fetch(
        model, source, revision=revision, include=include, exclude=exclude, cache=cache, digest=digest
    )
    return execute(plan, source, workers=workers, policy=policy, on_progress=on_progress)


def execute(
    plan: FetchPlan,
    source: Source,
    *,
    workers: int = WORKERS,
    policy: RetryPolicy | None = None,
    xet: Xet | None = None,
    limit: RateLimit | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> Snapshot:
    """Execute a plan. The manifest is written first, so that a later check knows what is missing, and last."""
    if not plan.missing and not _has_missing_names(plan):
        return described(plan.folder, plan.manifest, plan.manifest.revision)
    if _is_read_only(plan.folder) and _is_here(plan):
        return _verify_in_place(plan, on_progress)
    with group_permissions(plan.folder.cache):
        return _execute(plan, source, workers, policy, xet, limit, on_progress)


def _execute(
    plan: FetchPlan,
    source: Source,
    workers: int,
    policy: RetryPolicy | None,
    xet: Xet | None,
    limit: RateLimit | None,
    on_progress: OnProgress,
) -> Snapshot:
    folder, manifest = plan.folder, plan.manifest
    partial_file.remove_old_copies(folder)
    try:
        require_possible(folder, manifest, plan.missing, plan.to_write)
        _require_no_pointers(plan, source, policy or RetryPolicy())
        require_inside(folder, manifest.commit)
        folder.blobs.mkdir(parents=True, exist_ok=True)
        folder.snapshot(manifest.commit).mkdir(parents=True, exist_ok=True)
        manifests.save(manifest, folder.manifest(manifest.commit))
        adopt_copies(folder, manifest.commit, plan.missing)
        if xet:
            xet.download(folder, manifest, plan.missing)
        fetched = _transfer(plan, source, workers, policy or RetryPolicy(), limit, on_progress)
        set_ref(folder, manifest.revision, manifest.commit)
        atomic_write.sync_tree(folder.path)
    except OSError as error:
        raise explain(error, folder.cache) from error
    manifest = manifests.load(folder.manifest(manifest.commit)) or manifest  # as it was verified
    if faults := file_faults(folder, manifest):
        raise Failed(
            f"{folder.model}: the names in the snapshot do not lead to the fetched files",
            why=lines_of(faults),
            fix=f"another program changes {folder.path}: stop it, or move the folder away, then fetch again",
        )
    return described(folder, manifest, manifest.revision, fetched)


def _is_read_only(folder: ModelFolder) -> bool:
    return folder.path.is_dir() and not os.access(folder.path, os.W_OK)


def _is_here(plan: FetchPlan) -> bool:
    """Whether all files are in the snapshot, with the right sizes, and only their content is not verified."""
    faults = (name_fault(plan.folder, plan.manifest.commit, entry) for entry in plan.manifest.wanted)
    return all(fault is None or fault.kind in ("unverified", "changed") for fault in faults)


def _verify_in_place(plan: FetchPlan, on_progress: OnProgress) -> Snapshot:
    """Hash what is in a read-only cache. Raises Failed for files that would have to be fetched."""
    manifest, faults = hash_files(plan.folder, plan.manifest, list(plan.missing), on_progress)
    if faults:
        raise Failed(
            f"{manifest.model} is damaged in the read-only cache '{plan.folder.cache}'",
            why=lines_of(faults),
            fix=f"invoke verify {manifest.model} --deep --repair, on a host that can write to the cache",
        )
    return described(plan.folder, manifest, manifest.revision)


def _require_no_pointers(plan: FetchPlan, source: Source, policy: RetryPolicy) -> None:
    """Raise Failed if the source has Git LFS pointers in place of weights: a clone without `git lfs pull`."""
    pool = ConnectionPool(policy)
    suspects = [entry for entry in plan.missing if lfs_pointer.may_be_pointer(entry.path, entry.size)]
    try:
        pointers = [one.path for one in suspects if lfs_pointer.begins_like_pointer(_read(source, one, pool))]
    finally:
        pool.close()
    if pointers:
        where = plan.manifest.source or "the source"
        raise Failed(
            f"{where} has Git LFS pointers instead of the weights of {plan.manifest.model}",
            why=f"{pointers[0]} is one of {len(pointers)}; nothing was fetched",
            fix="run `git lfs pull` where the files were cloned, or fetch from another source",
        )


def _read(source: Source, entry: Entry, pool: ConnectionPool) -> bytes:
    """Return the content of a small file, or nothing if it cannot be read: the transfer will say why."""
    content = bytearray(entry.size)
    try:
        reader = source.open(entry, 0, entry.size, pool)
        while reader.position < reader.end:
            reader.readinto(memoryview(content)[reader.position :])
        reader.close()
    except (TransientError, SlipwayError):
        return b""
    return bytes(content)


def _has_missing_names(plan: FetchPlan) -> bool:
    """Whether a name is missing although its content is here, or the branch points elsewhere."""
    folder, manifest = plan.folder, plan.manifest
    if folder.commit(manifest.revision) != manifest.commit:
        return True
    return any(name_fault(folder, manifest.commit, entry) for entry in manifest.wanted)


def _transfer(
    plan: FetchPlan,
    source: Source,
    workers: int,
    policy: RetryPolicy,
    limit: RateLimit | None,
    on_progress: OnProgress,
) -> int:
    """Transfer the missing blobs, then publish what is verified, also after a failure. Return bytes transferred."""
    manifest = plan.manifest
    start = manifest.size - sum(entry.size for entry in plan.missing)
    progress = TransferProgress(total=manifest.size, start=start)
    scheduler = Scheduler(source, plan.folder, progress, policy, workers, limit)
    try:
        outcome = scheduler.run(plan.missing, on_progress)
    finally:
        _publish(plan, scheduler.outcome.verified)
    on_progress(progress)
    if outcome.bad:
        bad = f"{len(outcome.bad)} of {len(manifest.wanted)} files have the wrong content"
        raise Failed(
            f"{bad}: {', '.join(outcome.bad)}",
            why=f"fetched twice from {_names(plan, source)}; both times the hash was not the listed one",
            fix="all other files are here; fetch again later, or from another mirror with --source",
        )
    return outcome.fetched


def _names(plan: FetchPlan, source: Source) -> str:
    return ", ".join(source.sources) if isinstance(source, SeveralSources) else plan.manifest.source


def _publish(plan: FetchPlan, verified: list[Entry]) -> None:
    """Record the verified entries in the manifest, and link them into the snapshot."""
    by_blob = {entry.blob: entry for entry in verified}
    wanted = plan.manifest.wanted
    updated = [
        replace(by_blob[entry.blob], path=entry.path, wanted=True)
        for entry in wanted
        if entry.blob in by_blob
    ]
    path = plan.folder.manifest(plan.manifest.commit)
    current = merge(plan.manifest, manifests.load(path))  # another process may have verified other files
    manifests.save(
        current.with_entries(updated), path
    )  # first: a link that fails must not lose the verification
    commit = plan.manifest.commit
    here = [entry for entry in wanted if entry.blob in by_blob or is_verified(plan.folder, commit, entry)]
    copied = [entry.path for entry in here if not link(plan.folder, commit, entry)]
    if copied:
        _note_copies(plan, copied)


def _note_copies(plan: FetchPlan, paths: list[str]) -> None:
    """Record files that are not links: their inodes are not kept, since such file systems give a file a new one."""
    path = plan.folder.manifest(plan.manifest.commit)
    if manifest := manifests.load(path):
        entries = [entry for entry in manifest.entries if entry.path in paths]
        root = plan.folder.snapshot(plan.manifest.commit)
        times = {entry.path: (root / entry.path).stat().st_mtime_ns for entry in entries}
        manifests.save(
            manifest.with_entries(replace(one, inode=0, mtime_ns=times[one.path]) for one in entries), path
        )


def is_offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether HF_HUB_OFFLINE forbids requests to a Hub."""
    return environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
