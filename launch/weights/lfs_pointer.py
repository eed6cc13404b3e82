"""Recognize Git LFS pointers: the text files that `git clone` without LFS leaves instead of weights."""

from __future__ import annotations

from pathlib import Path

BEGIN = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024  # bytes; the specification of Git LFS allows no longer pointer
TEXT = "is a Git LFS pointer instead of the file: run `git lfs pull` there"


def is_pointer(path: Path) -> bool:
    """Return whether a file is a pointer. Raises OSError only if it cannot be found."""
    if path.stat().st_size >= LARGEST:
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(BEGIN)) == BEGIN
    except OSError:
        return False
