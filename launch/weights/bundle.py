"""A snapshot in one file, for hosts that no network reaches.

A bundle is an uncompressed tar: `manifest.json` first, then each file at a multiple of 512 bytes, in the
manifest's order. So `tar` can read it, and so can whoever has only ranges of it: where each file begins
follows from the manifest. Nothing in it is unpacked by name; the names come from the checked manifest
alone.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from errors import Failed
from launch.weights import manifest as manifests
from launch.weights.cache import Place, cache_folder
from launch.weights.manifest import Manifest
from launch.weights.meter import Meter
from launch.weights.proof import PIECE
from launch.weights.snapshot import Snapshot

BLOCK = tarfile.BLOCKSIZE
NAME = "manifest.json"


def write_bundle(snapshot: Snapshot, cache: Path | None, file: Path, show: Callable[[Meter], None]) -> None:
    """Write a complete snapshot into `file`; under another name until it is whole. Raises Failed."""
    place = Place((cache or cache_folder()).absolute(), snapshot.model)
    manifest = manifests.load(place.manifest(snapshot.commit))
    assert manifest is not None, "a snapshot that passed `check` has a manifest"
    kept = replace(manifest, entries=manifest.wanted, revision=snapshot.revision)
    meter = Meter(total=kept.size)
    beside = file.with_name(file.name + ".incomplete")
    try:
        with beside.open("wb") as stream:
            _write(kept, snapshot.path, stream, meter, show)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Failed(f"cannot write {file}", why=str(error), fix="name a file on a disk with room") from error


def _write(
    manifest: Manifest, root: Path, stream: io.BufferedWriter, meter: Meter, show: Callable[[Meter], None]
) -> None:
    data = json.dumps(manifest.as_dict(), indent=1).encode()
    stream.write(_header(NAME, len(data)) + data + _padding(len(data)))
    for entry in manifest.entries:
        stream.write(_header(entry.path, entry.size))
        meter.begin(entry.path, entry.size)
        with (root / entry.path).open("rb") as source:
            while piece := source.read(PIECE):
                stream.write(piece)
                meter.add(entry.path, len(piece))
                show(meter)
        stream.write(_padding(entry.size))
        meter.end(entry.path)
    stream.write(bytes(2 * BLOCK))


def _header(name: str, size: int) -> bytes:
    """A member's header: one block, or more for a long name or over 8 GiB. The same bytes every time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def offsets(manifest: Manifest, start: int) -> dict[str, int]:
    """Where each file's bytes begin, if the first member after the manifest begins at `start`."""
    found = {}
    for entry in manifest.entries:
        start += len(_header(entry.path, entry.size))
        found[entry.path] = start
        start += entry.size + -entry.size % BLOCK
    return found
