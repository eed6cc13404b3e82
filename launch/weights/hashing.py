"""Proof: the bytes of a file, hashed, against what its entry promises."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from launch.weights.manifest import Entry

PIECE = 1 << 20  # bytes hashed at a time


class Digest:
    """The hashes of a file's bytes, fed in order."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._sha256 = hashlib.sha256()
        small = len(entry.blob) == 40
        # git's own hash, and the plain one that a mirror without git may give in its place
        self._sha1 = (hashlib.sha1(b"blob %d\0" % entry.size), hashlib.sha1()) if small else ()

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        self._sha256.update(data)
        for sha1 in self._sha1:
            sha1.update(data)

    @property
    def sha256(self) -> str:
        """The sha256 so far, as hex."""
        return self._sha256.hexdigest()

    def proves(self) -> bool:
        """Whether the bytes so far are the whole file that the entry names."""
        return self._entry.blob in {one.hexdigest() for one in self._sha1 or (self._sha256,)}


def proven(entry: Entry, sha256: str, blob: Path) -> Entry:
    """The entry, stamped: these bytes were hashed now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(entry, sha256=sha256, verified=now, mtime_ns=blob.stat().st_mtime_ns)


def prove(
    entry: Entry, blob: Path, note: Callable[[int], None], stop: threading.Event | None = None
) -> Entry | None:
    """Hash a file on disk: the stamped entry, or None where it is another file than the entry says.

    `note` is told of bytes as they are read; they are taken back where the file is wrong.
    """
    if blob.stat().st_size != entry.size:
        return None
    digest, buffer, done = Digest(entry), memoryview(bytearray(PIECE)), 0
    with blob.open("rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := stream.readinto(buffer):
            if stop is not None and stop.is_set():
                return None
            digest.update(buffer[:count])
            done += count
            note(count)
    if digest.proves():
        return proven(entry, digest.sha256, blob)
    note(-done)
    return None
