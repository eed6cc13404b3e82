"""Hash the files of a snapshot in parallel, and record which of them are the listed ones."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder
from launch.weights.file_state import Fault
from launch.weights.hashing import mark_unverified, verify_blob
from launch.weights.manifest import Entry, Manifest
from launch.weights.progress import TransferProgress
from launch.weights.transfer.shared_cache import group_permissions

UNKNOWN_HASH = "0" * 64
NOT_A_LINK = "cannot be verified: it is not a link to a blob, so its hash is unknown"
WRONG = "has the wrong content"


def hash_files(
    folder: ModelFolder,
    manifest: Manifest,
    entries: list[Entry],
    on_progress: Callable[[TransferProgress], None],
) -> tuple[Manifest, list[Fault]]:
    """Hash files in parallel; record the results in the manifest, and return it with the bad ones."""
    progress = TransferProgress(total=sum(entry.size for entry in entries))
    stop = threading.Event()

    def verify(entry: Entry) -> Entry | Fault:
        progress.begin(entry.path, entry.size)
        path = folder.snapshot(manifest.commit) / entry.path
        try:
            verified = verify_blob(entry, path, lambda count: progress.add(entry.path, count), stop)
        except OSError as error:
            return Fault(entry.path, "damaged", f"cannot be read: {error.strerror}")
        finally:
            progress.end(entry.path)
        if entry.blob == UNKNOWN_HASH:
            return Fault(entry.path, "unverified", NOT_A_LINK)
        if verified is None:
            return Fault(entry.path, "damaged", WRONG)
        # File systems without links give a file a new inode at times.
        return verified if path.is_symlink() else replace(verified, inode=0)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            largest_first = sorted(entries, key=lambda entry: -entry.size)
            futures = [pool.submit(verify, entry) for entry in largest_first]
            _watch(set(futures), lambda: on_progress(progress))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    results = [future.result() for future in futures]
    bad = {one.path for one in results if isinstance(one, Fault)}
    manifest = manifest.with_entries(one for one in results if isinstance(one, Entry))
    manifest = manifest.with_entries(mark_unverified(one) for one in entries if one.path in bad)
    with (
        contextlib.suppress(OSError),
        group_permissions(folder.cache),
    ):  # verified, also if no place keeps it
        manifests.save_verified(manifest, folder.manifest(manifest.commit))
    return manifest, [one for one in results if isinstance(one, Fault)]


def _watch(futures: set[Future[Entry | Fault]], on_progress: Callable[[], None]) -> None:
    while futures:
        _, futures = wait(futures, timeout=0.2)
        on_progress()
