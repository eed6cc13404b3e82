"""What outlives a loss of power: a file written whole under its name, and names that are on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

UNABLE = (errno.EINVAL, errno.ENOTSUP)  # some network file systems take no fsync for a folder


def write(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with beside.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())  # without it, a host without power may keep the name and lose the content
    beside.replace(path)


def names(top: Path) -> None:
    """Force the names in a folder, in all below it, and its own to the disk. Raises OSError."""
    for at, _, _ in os.walk(top, topdown=False):
        folder(at)
    folder(top.parent)


def folder(at: str | Path) -> None:
    """Force the names in one folder to the disk. Raises OSError."""
    handle = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
    finally:
        os.close(handle)
