"""Hash a file's content and compare it with its manifest entry."""

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
    """The hashes of a file's bytes, updated in order."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._sha256 = hashlib.sha256()
        small = len(entry.blob) == 40
        # git's own hash, and the plain SHA-1 that a mirror without git may list instead
        self._sha1 = (hashlib.sha1(b"blob %d\0" % entry.size), hashlib.sha1()) if small else ()

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        self._sha256.update(data)
        for sha1 in self._sha1:
            sha1.update(data)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in hex."""
        return self._sha256.hexdigest()

    def matches(self) -> bool:
        """Whether the bytes so far are the whole file of the entry."""
        return self._entry.blob in {one.hexdigest() for one in self._sha1 or (self._sha256,)}


def mark_verified(entry: Entry, sha256: str, status: os.stat_result) -> Entry:
    """Return the entry with its SHA-256, the time of this verification, and the file's state before it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(entry, sha256=sha256, verified=now, mtime_ns=status.st_mtime_ns, inode=status.st_ino)


def mark_unverified(entry: Entry) -> Entry:
    """Return the entry as one whose content was never hashed on this host."""
    return replace(entry, verified="", mtime_ns=0, inode=0)


def verify_blob(
    entry: Entry, blob: Path, count_bytes: Callable[[int], None], stop: threading.Event | None = None
) -> Entry | None:
    """Hash a file on disk. Return the verified entry, or None if the content is wrong or `stop` is set.

    `count_bytes` is called with the bytes read, and with a negative number if the content is wrong.
    """
    if blob.stat().st_size != entry.size:
        return None
    digest, buffer, done = Digest(entry), memoryview(bytearray(PIECE)), 0
    with blob.open("rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())  # before the first byte: a write during the hashing changes it
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := stream.readinto(buffer):
            if stop is not None and stop.is_set():
                return None
            digest.update(buffer[:count])
            done += count
            count_bytes(count)
    if digest.matches():
        return mark_verified(entry, digest.sha256, status)
    count_bytes(-done)
    return None
