"""What outlives a loss of power: a file written whole under its name, and names that are on the disk."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def new(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name, in place of what has it, once it is whole and on the disk. Raises OSError.

    Until then it has no name, so that even a kill leaves nothing behind, or one that nobody else has.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.incomplete")
    nameless = _nameless(path.parent)
    try:
        with beside.open("xb") if nameless is None else os.fdopen(nameless, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if nameless is not None:
                _name(nameless, beside)
        beside.replace(path)
        folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def require_writable(at: Path) -> None:
    """Raises OSError where no file can be made in a folder."""
    if (nameless := _nameless(at)) is not None:
        os.close(nameless)
        return
    beside = at / f".{secrets.token_hex(8)}.incomplete"
    beside.open("xb").close()
    beside.unlink()


def _nameless(at: Path) -> int | None:
    """A file without a name in a folder, None where its file system has no such thing."""
    try:
        return os.open(at, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise


def _name(file: int, path: Path) -> None:
    """Give a nameless file a name. Raises OSError."""
    open_files = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(str(file), path, src_dir_fd=open_files)  # a folder given: only then does it follow the link
    finally:
        os.close(open_files)


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
