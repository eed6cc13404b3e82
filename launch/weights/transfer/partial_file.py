"""The partial file of a blob: whose it is, and how it is opened where others may write too.

Each host has its own, so that locks that do not lock cost time, not bytes. In a cache that is shared, a name may
be a trap: what is no plain file is never written through, nor waited for.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import socket
import stat
import time
from pathlib import Path

from launch.weights.cache import Place
from launch.weights.hashing import PIECE

BLOCK = 4096  # bytes that a disk has or has not
UNFORCED = 256 << 20  # bytes that are not yet forced to disk at most: a span for each of 32 streams


def host() -> str:
    """The name by which hosts that share a cache know each other."""
    return socket.gethostname()[:60]


def own(place: Place, blob: str) -> Path:
    """This host's partial file."""
    return place.blobs / f"{blob}.slipway-{host()}.incomplete"


def found(place: Place) -> dict[str, list[Path]]:
    """The partial files of all hosts by their blob: one look at a folder that may hold thousands."""
    by_blob: dict[str, list[Path]] = {}
    for at in sorted(place.blobs.glob("*.slipway-*.incomplete")):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(at.lstat().st_mode):
                by_blob.setdefault(at.name.partition(".")[0], []).append(at)
    return by_blob


def tidy(place: Place) -> None:
    """Remove the copies that an earlier version of Slipway made of others' partial files and did not finish."""
    for at in place.blobs.glob(f"*.slipway-{glob.escape(host())}.copy"):
        with contextlib.suppress(OSError):
            at.unlink()


def length(path: Path, most: int) -> int:
    """Bytes of a partial file that can be gone on from: none of one that is absent, or longer than the whole.

    Raises PermissionError where its folder may not be looked into.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_size <= most else 0


def open_own(place: Place, blob: str, size: int, known: list[Path]) -> int:
    """This host's partial file, made if there is none, and as long as the longest known one. Raises OSError."""
    path = own(place, blob)
    if _is_trap(path):
        path.unlink()
    file = _open_plain(path, os.O_RDWR | os.O_CREAT)
    if os.fstat(file).st_size > size:
        os.ftruncate(file, 0)
    try:
        _drop_unsure(file)
        _lengthen(file, size, known)
    except OSError:
        os.close(file)
        raise
    return file


def _open_plain(path: Path, flags: int) -> int:
    # Not through a link, and not waiting for the other end of a pipe.
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FileExistsError(errno.EEXIST, "it is no plain file", str(path))
    return file


def _is_trap(path: Path) -> bool:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


def _lengthen(file: int, size: int, known: list[Path]) -> None:
    """Append what the longest of the others has beyond ours: all are prefixes of the same file.

    Appended, not copied beside it, so that a full disk keeps what came and nothing is left lying.
    """
    longest = max(known, key=lambda other: length(other, size), default=None)
    if longest is None or length(longest, size) <= os.fstat(file).st_size:
        return
    try:
        theirs = _open_plain(longest, os.O_RDONLY)
    except OSError:
        return  # not ours to read, or gone: then it is fetched
    try:
        _append(file, theirs, size)
    finally:
        os.close(theirs)


def _append(file: int, theirs: int, size: int) -> None:
    at = os.fstat(file).st_size
    while data := os.pread(theirs, min(PIECE, size - at), at):
        at += os.pwrite(file, data, at)


def booted() -> float:
    """When this host started, by its clock."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _drop_unsure(file: int) -> None:
    """Cut an open partial file where it may hold zeros in the place of data.

    A host that lost its power may have a file's length and not its last bytes: ext4 can keep the one without the other.
    Nothing is doubted that was written since the host started.
    """
    found = os.fstat(file)
    if found.st_mtime >= booted():
        return
    at = max(0, found.st_size - UNFORCED) // BLOCK * BLOCK
    while piece := os.pread(file, PIECE, at):
        if (good := sound(memoryview(piece))) < len(piece):
            os.ftruncate(file, at + good)
            return
        at += len(piece)


def sound(piece: memoryview) -> int:
    """Bytes before the first block of zeros."""
    for at in range(0, len(piece), BLOCK):
        if not any(piece[at : at + 8]) and not any(piece[at : at + BLOCK]):
            return at
    return len(piece)
