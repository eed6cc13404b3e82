"""A snapshot in one file, for hosts that no network reaches.

A bundle is an uncompressed tar: the manifest first, then each wanted file at a multiple of 512 bytes, in the
manifest's order. So `tar` can read it, and so can whoever has only ranges of it: where each file begins
follows from the manifest. Nothing in it is unpacked by name; the names come from the checked manifest
alone.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from errors import Failed, Refused
from launch import atomic_write
from launch.weights import manifest as manifests
from launch.weights.cache import Place, cache_folder
from launch.weights.hashing import PIECE, Digest
from launch.weights.manifest import Entry, Manifest
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot
from launch.weights.sources.source import unreadable

BLOCK = tarfile.BLOCKSIZE
NAME = "slipway.manifest.json"  # a model may have a manifest.json of its own
LARGEST_MANIFEST = 64 << 20
MAKE = "make one with invoke fetch --bundle FILE"
AGAIN = "make the bundle, or copy it, again"


def require_target(file: Path) -> None:
    """Refuse, before hours of fetching, a name that no bundle can be written to. Raises Refused."""
    try:
        if file.exists() and not file.is_file():
            raise FileExistsError("it is there, and it is no plain file")
        atomic_write.require_writable(file.absolute().parent)
    except OSError as error:
        fix = "name a file in a folder that is there and may be written to"
        raise Refused(f"cannot write the bundle {file}", why=str(error), fix=fix) from error


def write_bundle(
    snapshot: Snapshot, cache: Path | None, file: Path, show: Callable[[TransferProgress], None]
) -> None:
    """Write a complete snapshot into `file`, which is there once it is whole. Raises Failed or Refused.

    What was left out of the snapshot is in the manifest all the same: a server that needs it is refused there as here.
    """
    require_target(file)  # once more: a fetch may have lain between, and a device must not be replaced
    place = Place((cache or cache_folder()).absolute(), snapshot.model)
    manifest = manifests.load(place.manifest(snapshot.commit))
    assert manifest is not None, "a snapshot that passed `check` has a manifest"
    kept = replace(manifest, revision=snapshot.revision)
    _require_no_namesake(kept)
    meter = TransferProgress(total=kept.size)
    try:
        with atomic_write.new_file(file) as stream:
            _write(kept, snapshot.path, stream, meter, show)
    except OSError as error:
        raise Failed(f"cannot write {file}", why=str(error), fix="name a file on a disk with room") from error


def _require_no_namesake(manifest: Manifest) -> None:
    """Raises Failed where a file of the model would take the manifest's place when the bundle is unpacked."""
    if any(entry.path.split("/")[0] == NAME for entry in manifest.wanted):
        fix = f"leave it out: --exclude {NAME}, with another --cache"
        raise Failed(f"{manifest.model} has a {NAME}, and so has every bundle", fix=fix)


def _write(
    manifest: Manifest,
    root: Path,
    stream: BinaryIO,
    meter: TransferProgress,
    show: Callable[[TransferProgress], None],
) -> None:
    data = json.dumps(manifest.as_dict(), indent=1).encode()
    stream.write(_header(NAME, len(data)) + data + _padding(len(data)))
    for entry in manifest.wanted:
        stream.write(_header(entry.path, entry.size))
        meter.begin(entry.path, entry.size)
        digest = Digest(entry)
        for piece in _pieces(root / entry.path):
            digest.update(piece)
            stream.write(piece)
            meter.add(entry.path, len(piece))
            show(meter)
        if not digest.proves():
            fix = f"invoke verify --model {manifest.model} --deep --repair, then make the bundle again"
            raise Failed(f"{entry.path} has the wrong content: no bundle was made", fix=fix)
        stream.write(_padding(entry.size))
        meter.end(entry.path)
    stream.write(bytes(2 * BLOCK))


def _pieces(at: Path) -> Iterator[bytes]:
    """What a file holds. Raises Failed where it cannot be read, which is no fault of the bundle's own disk."""
    try:
        with at.open("rb") as source:
            while piece := source.read(PIECE):
                yield piece
    except OSError as error:
        raise unreadable(at, error) from error


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
    for entry in manifest.wanted:
        start += len(_header(entry.path, entry.size))
        found[entry.path] = start
        start += entry.size + -entry.size % BLOCK
    return found


def end_of(manifest: Manifest, starts: dict[str, int]) -> int:
    """Where the last byte of the files ends; what is shorter is no whole bundle."""
    return max((starts[entry.path] + entry.size for entry in manifest.wanted), default=0)


def require_held(entry: Entry, held: Container[str], where: object) -> None:
    """Raises Failed for a file that was left out of the bundle, and that this host wanted before."""
    if entry.path not in held:
        why = "it was left out when the bundle was made"
        fix = "fetch it from the Hub, or from another bundle"
        raise Failed(f"{where} does not hold {entry.path}", why=why, fix=fix)


def first_member(header: bytes, where: object) -> int:
    """The manifest's length. Raises Refused where this is no bundle."""
    try:
        member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise Refused(f"{where} is no bundle", fix=MAKE) from error
    if member.name != NAME or not member.isreg() or not 0 < member.size <= LARGEST_MANIFEST:
        raise Refused(f"{where} is no bundle", why=f"it does not begin with {NAME}", fix=MAKE)
    return member.size


def require_members(manifest: Manifest, starts: dict[str, int], stream: BinaryIO, where: object) -> None:
    """Raises Failed where the files are not where the manifest says, as in a tar that was packed anew."""
    for entry in manifest.wanted:
        stream.seek(starts[entry.path] - BLOCK)
        header = stream.read(BLOCK)
        if len(header) < BLOCK:
            raise Failed(f"{where} is too short", why=f"it ends before {entry.path}", fix=AGAIN)
        if not _announces(header, entry):
            why = f"{entry.path} is not where its manifest says: another tool may have packed it"
            raise Failed(f"{where} is no whole bundle", why=why, fix=AGAIN)
    if stream.seek(0, io.SEEK_END) < end_of(manifest, starts):
        raise too_short(where)


def too_short(where: object) -> Failed:
    """A bundle that was cut: the copy did not end, or the disk was full."""
    return Failed(f"{where} is too short", why="it ends before its files do", fix=AGAIN)


def _announces(header: bytes, entry: Entry) -> bool:
    """Whether a tar's header is that of a file; of a long name it has the beginning."""
    try:
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    name = header[:100].rstrip(b"\0")
    return member.isreg() and member.size == entry.size and name == entry.path.encode()[:100]
