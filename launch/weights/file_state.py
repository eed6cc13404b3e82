"""What is wrong with one file of a snapshot, as far as its name, size, time and inode show it. No byte is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry

# missing: absent, or another file stands in its place. damaged: the content is wrong for sure.
# changed: it was verified, and something has written to it since. unverified: its hash is not known to be right.
Kind = Literal["missing", "damaged", "changed", "unverified"]


@dataclass(frozen=True)
class Fault:
    """One file that is not the verified one, and how that is known."""

    path: str
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.path} {self.text}"


def name_fault(folder: ModelFolder, commit: str, entry: Entry) -> Fault | None:
    """Return what is wrong with a file's name in the snapshot or with the content that it leads to."""
    path = folder.snapshot(commit) / entry.path
    if path.is_symlink() and path.exists() and not _same(path, folder.blobs / entry.blob):
        return Fault(entry.path, "missing", "points at something else than its blob")
    return content_fault(path, entry)


def content_fault(path: Path, entry: Entry) -> Fault | None:
    """Return how a file differs from the one that was verified.

    Manifests of earlier versions have no inode; then it is not compared.
    """
    try:
        status = path.stat()
    except OSError:
        return Fault(entry.path, "missing", "is missing")
    if not S_ISREG(status.st_mode):
        return Fault(entry.path, "missing", "is not a file")
    if status.st_size != entry.size:
        return Fault(entry.path, "damaged", f"has {status.st_size} bytes instead of {entry.size}")
    if not entry.verified:
        return Fault(entry.path, "unverified", "is not verified")
    if is_same_file(status, entry):
        return None
    return Fault(entry.path, "changed", f"was changed since it was verified ({entry.verified})")


def is_same_file(status: os.stat_result, entry: Entry) -> bool:
    """Return whether nothing has written to or replaced a file since it was verified."""
    return status.st_mtime_ns == entry.mtime_ns and entry.inode in (0, status.st_ino)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
