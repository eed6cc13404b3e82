"""What is wrong with one file of a snapshot, as far as its name, size, time and inode show it.

No byte is read, except of files so small that they may be Git LFS pointers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from launch.weights import lfs_pointer
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


def content_of(folder: ModelFolder, commit: str, entry: Entry) -> Path:
    """Return where the content of a file is: its blob, or the file in the snapshot where links do not work."""
    blob, path = folder.blobs / entry.blob, folder.snapshot(commit) / entry.path
    return path if not os.path.lexists(blob) and path.is_file() and not path.is_symlink() else blob


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
    if damage := _damage(path, status, entry):
        return Fault(entry.path, "damaged", damage)
    if not entry.verified:
        return Fault(entry.path, "unverified", "is not verified")
    if is_same_file(status, entry):
        return None
    return Fault(entry.path, "changed", f"was changed since it was verified ({entry.verified})")


def _damage(path: Path, status: os.stat_result, entry: Entry) -> str:
    if status.st_size != entry.size:
        return f"has {status.st_size} bytes instead of {entry.size}"
    pointer = lfs_pointer.may_be_pointer(entry.path, entry.size) and lfs_pointer.is_pointer(path)
    return "is a Git LFS pointer instead of the weights" if pointer else ""


def is_same_file(status: os.stat_result, entry: Entry) -> bool:
    """Return whether nothing has written to or replaced a file since it was verified."""
    return status.st_mtime_ns == entry.mtime_ns and entry.inode in (0, status.st_ino)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
