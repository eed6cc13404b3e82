"""The format of a bundle: an uncompressed tar with the manifest first, then each wanted file in its order.

The position of every file follows from the manifest, so a bundle can also be read through HTTP ranges. `tar`
can unpack it. Slipway itself never unpacks by the names in the tar; it uses those of the checked manifest.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Container
from typing import BinaryIO

from errors import Failed, Refused
from launch.weights import manifest as manifests
from launch.weights.manifest import Entry, Manifest

BLOCK = tarfile.BLOCKSIZE
MANIFEST_NAME = "slipway.manifest.json"  # a model may have its own manifest.json
LARGEST_MANIFEST = 64 << 20
MAKE = "make one with invoke fetch --bundle FILE"
AGAIN = "make the bundle, or copy it, again"


def header(name: str, size: int) -> bytes:
    """Return a member's header: one block, or more for a long name or over 8 GiB. Equal input gives equal bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """Return the zeros after a member of this size."""
    return bytes(-size % BLOCK)


def offsets(manifest: Manifest, manifest_size: int) -> dict[str, int]:
    """Return where the content of each file begins, if the manifest's JSON has `manifest_size` bytes."""
    position, by_path = BLOCK + manifest_size + -manifest_size % BLOCK, {}
    for entry in manifest.wanted:
        position += len(header(entry.path, entry.size))
        by_path[entry.path] = position
        position += entry.size + -entry.size % BLOCK
    return by_path


def end_of(manifest: Manifest, starts: dict[str, int]) -> int:
    """Return the end of the last file's content; a shorter bundle is not complete."""
    return max((starts[entry.path] + entry.size for entry in manifest.wanted), default=0)


def manifest_size(first_block: bytes, where: object) -> int:
    """Return the size of the manifest's JSON, from a bundle's first block. Raises Refused."""
    try:
        member = tarfile.TarInfo.frombuf(first_block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise Refused(f"'{where}' is not a bundle", fix=MAKE) from error
    if member.name != MANIFEST_NAME or not member.isreg() or not 0 < member.size <= LARGEST_MANIFEST:
        raise Refused(f"'{where}' is not a bundle", why=f"it does not begin with {MANIFEST_NAME}", fix=MAKE)
    return member.size


def parse_manifest(data: bytes, where: object) -> Manifest:
    """Return the manifest in a bundle. Raises Failed."""
    try:
        return manifests.parse(data)
    except (ValueError, TypeError, KeyError) as error:
        raise Failed(f"{where}: its manifest cannot be read", why=str(error), fix=AGAIN) from error


def require_members(manifest: Manifest, starts: dict[str, int], stream: BinaryIO, where: object) -> None:
    """Raise Failed if the files are not where the manifest says, for example in a repacked tar."""
    for entry in manifest.wanted:
        stream.seek(starts[entry.path] - BLOCK)
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            raise Failed(f"{where} is too short", why=f"it ends before {entry.path}", fix=AGAIN)
        if not _is_header_of(block, entry):
            why = f"{entry.path} is not where its manifest says: another tool may have packed it"
            raise Failed(f"{where} is not a complete bundle", why=why, fix=AGAIN)
    if stream.seek(0, io.SEEK_END) < end_of(manifest, starts):
        raise too_short(where)


def _is_header_of(block: bytes, entry: Entry) -> bool:
    """Whether a tar header is that of a file; of a long name it has only the beginning."""
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    name = block[:100].rstrip(b"\0")
    return member.isreg() and member.size == entry.size and name == entry.path.encode()[:100]


def require_included(entry: Entry, included: Container[str], where: object) -> None:
    """Raise Failed for a file that this host wants and that was left out of the bundle."""
    if entry.path not in included:
        why = "it was left out when the bundle was made"
        fix = "fetch it from the Hub, or from another bundle"
        raise Failed(f"{where} does not have {entry.path}", why=why, fix=fix)


def too_short(where: object) -> Failed:
    """Return the error for a truncated bundle: the copy was interrupted, or the disk was full."""
    return Failed(f"{where} is too short", why="it ends before its files do", fix=AGAIN)
