"""Write a complete snapshot into a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from errors import Failed, Refused
from launch import atomic_write
from launch.weights import manifest as manifests
from launch.weights.bundle.format import BLOCK, MANIFEST_NAME, header, padding
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.hashing import PIECE, Digest
from launch.weights.manifest import Manifest
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot
from launch.weights.source import unreadable


def require_target(file: Path) -> None:
    """Raise Refused for a name that no bundle can be written to; called before hours of fetching."""
    try:
        if file.exists() and not file.is_file():
            raise FileExistsError("it exists and is not a regular file")
        atomic_write.require_writable(file.absolute().parent)
    except OSError as error:
        fix = "name a file in an existing folder that you can write to"
        raise Refused(f"cannot write the bundle '{file}'", why=str(error), fix=fix) from error


def write_bundle(
    snapshot: Snapshot, cache: Path | None, file: Path, on_progress: Callable[[TransferProgress], None]
) -> None:
    """Write a complete snapshot into `file`, which appears once it is complete. Raises Failed or Refused.

    Files that were left out of the snapshot stay in the manifest: the other host must know that they are missing.
    """
    require_target(file)  # again, because it may have become a device during the fetch
    manifest = _manifest_of(snapshot, cache)
    try:
        with atomic_write.new_file(file) as stream:
            _write(manifest, snapshot.path, stream, on_progress)
    except OSError as error:
        raise Failed(
            f"cannot write '{file}'", why=str(error), fix="name a file on a disk with enough free space"
        ) from error


def stream_bundle(
    snapshot: Snapshot, cache: Path | None, stream: BinaryIO, on_progress: Callable[[TransferProgress], None]
) -> None:
    """Write a complete snapshot into a stream, such as a pipe. Raises Failed, also if its reader is gone."""
    try:
        _write(_manifest_of(snapshot, cache), snapshot.path, stream, on_progress)
        stream.flush()
    except OSError as error:
        gone = isinstance(error, BrokenPipeError)
        why = "the program that reads it has ended" if gone else str(error)
        fix = "start the pipe again; the fetched files stay in the cache"
        raise Failed("the bundle on stdout is incomplete", why=why, fix=fix) from error


def _manifest_of(snapshot: Snapshot, cache: Path | None) -> Manifest:
    folder = ModelFolder((cache or cache_folder()).absolute(), snapshot.model)
    manifest = manifests.load(folder.manifest(snapshot.commit))
    assert manifest is not None, "a complete snapshot has a manifest"
    manifest = replace(manifest, revision=snapshot.revision)
    _require_free_name(manifest)
    return manifest


def _require_free_name(manifest: Manifest) -> None:
    """Raise Failed if an unpacked bundle would have a file of the model in place of the manifest."""
    if any(entry.path.split("/")[0] == MANIFEST_NAME for entry in manifest.wanted):
        why = f"every bundle has a file {MANIFEST_NAME} too"
        fix = f"leave it out: --exclude {MANIFEST_NAME}, with another --cache"
        raise Failed(f"{manifest.model} has a file {MANIFEST_NAME}", why=why, fix=fix)


def _write(
    manifest: Manifest, root: Path, stream: BinaryIO, on_progress: Callable[[TransferProgress], None]
) -> None:
    progress = TransferProgress(total=manifest.size)
    data = json.dumps(manifest.as_dict(), indent=1).encode()
    stream.write(header(MANIFEST_NAME, len(data)) + data + padding(len(data)))
    for entry in manifest.wanted:
        stream.write(header(entry.path, entry.size))
        progress.begin(entry.path, entry.size)
        digest = Digest(entry)
        for piece in _pieces(root / entry.path):
            digest.update(piece)
            stream.write(piece)
            progress.add(entry.path, len(piece))
            on_progress(progress)
        if not digest.matches():
            fix = f"invoke verify {manifest.model} --deep --repair, then make the bundle again"
            raise Failed(f"{entry.path} has the wrong content: no bundle was made", fix=fix)
        stream.write(padding(entry.size))
        progress.end(entry.path)
    stream.write(bytes(2 * BLOCK))


def _pieces(path: Path) -> Iterator[bytes]:
    """Read a file. Raises Failed, because the disk of the bundle is not at fault."""
    try:
        with path.open("rb") as source:
            while piece := source.read(PIECE):
                yield piece
    except OSError as error:
        raise unreadable(path, error) from error
