"""Recognize Git LFS pointers: the text files that `git clone` without LFS leaves instead of weights."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

BEGIN = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024  # bytes; the specification of Git LFS allows no longer pointer
WEIGHTS = frozenset({".safetensors", ".bin", ".gguf", ".pt", ".pth"})
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


def may_be_pointer(path: str, size: int) -> bool:
    """Return whether a file of weights is so small that it may be a pointer."""
    return size < LARGEST and PurePosixPath(path).suffix in WEIGHTS


def begins_like_pointer(content: bytes) -> bool:
    """Return whether content begins as that of a pointer."""
    return content.startswith(BEGIN)
