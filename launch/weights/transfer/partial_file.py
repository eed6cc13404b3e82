"""Partial files: find what earlier fetches left, and continue it.

Each user on each host has a partial file of a blob, so that locks that do not work cost time, not content, and no user
has to write to a file of another one. It is always a prefix of the whole file, so its length says how far the fetch
came. What huggingface_hub left is used up to its first hole, since hf_xet may write out of order. In a shared cache a
name may be a trap: only regular files are written to, and none is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from errors import Failed
from launch.weights.cache import ModelFolder
from launch.weights.hashing import PIECE, Digest
from launch.weights.manifest import Entry

_OWN = re.compile(r"\.slipway-.+\.incomplete$")
_HF = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(\.[0-9a-f]{8})?\.incomplete")
BLOCK = 4096  # bytes that a disk writes as one
UNFORCED = 256 << 20  # bytes that may not be on disk yet, at most: a span for each of 32 workers


def host() -> str:
    """Return the name by which hosts that share a cache know each other."""
    return socket.gethostname()[:60]


def own(folder: ModelFolder, blob: str) -> Path:
    """Return the path of this user's partial file on this host."""
    return folder.blobs / name(blob)


def name(blob: str) -> str:
    """Return the name of this user's partial file on this host."""
    return f"{blob}.slipway-{host()}-{os.getuid()}.incomplete"


def find(folder: ModelFolder) -> dict[str, list[Path]]:
    """Return all partial files by blob; the folder may have thousands of files and is read once."""
    by_blob: dict[str, list[Path]] = {}
    for path in sorted(folder.blobs.glob("*.incomplete")):
        with contextlib.suppress(FileNotFoundError):
            if (_OWN.search(path.name) or is_of_hf(path)) and stat.S_ISREG(path.lstat().st_mode):
                by_blob.setdefault(path.name.partition(".")[0], []).append(path)
    return by_blob


def is_of_hf(path: Path) -> bool:
    """Whether huggingface_hub left this partial file: `ETAG.incomplete`, or since 2.4 `ETAG.12345678.incomplete`."""
    return bool(_HF.fullmatch(path.name))


def remove_old_copies(folder: ModelFolder) -> None:
    """Delete the incomplete copies of others' partial files that an earlier version of Slipway made."""
    for path in folder.blobs.glob(f"*.slipway-{glob.escape(host())}.copy"):
        with contextlib.suppress(OSError):
            path.unlink()


def remove(paths: Iterable[Path]) -> None:
    """Delete partial files of a blob that is complete; those that this user may not delete stay."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def usable_bytes(folder: ModelFolder, commit: str, entries: Iterable[Entry]) -> tuple[int, int]:
    """Return the bytes that earlier fetches left: on all hosts, and on this one. Raises Failed."""
    all_hosts = this_host = 0
    try:
        partial_files = find(folder)
        for entry in entries:
            copy = folder.snapshot(commit) / entry.path  # where links do not work
            own_files = (folder.blobs / entry.blob, own(folder, entry.blob), copy)
            all_hosts += _longest(entry, (*own_files, *partial_files.get(entry.blob, [])))
            this_host += _longest(entry, own_files)
    except OSError as error:
        raise Failed(
            f"cannot read the folder {folder.blobs}",
            why=str(error),
            fix="ask its owner for permission, or use --cache DIR with your own folder",
        ) from error
    return all_hosts, this_host


def _longest(entry: Entry, paths: Iterable[Path]) -> int:
    return max(_usable_length(path, entry.size) for path in paths)


def _usable_length(path: Path, size: int) -> int:
    """Return the length of a partial file, or 0 if it is absent or longer than the whole. Raises PermissionError."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_size <= size else 0


def resume(
    folder: ModelFolder,
    entry: Entry,
    partial_files: list[Path],
    count_bytes: Callable[[int], None],
    stop: threading.Event,
) -> tuple[int, Digest, int]:
    """Open this host's partial file, as long as the longest known one, and hash its content until `stop`.

    Return the open file, the hash, and the length. Raises OSError.
    """
    file = _open(folder, entry, partial_files)
    digest, length, buffer = Digest(entry), 0, memoryview(bytearray(PIECE))
    while not stop.is_set() and (count := os.preadv(file, [buffer], length)):
        digest.update(buffer[:count])
        length += count
        count_bytes(count)
    if length:
        os.fdatasync(file)  # the fetch that wrote it may have been killed before it was on disk
    return file, digest, length


def _open(folder: ModelFolder, entry: Entry, partial_files: list[Path]) -> int:
    path = own(folder, entry.blob)
    if _is_trap(path):
        path.unlink()
    file = _open_regular(path, os.O_RDWR | os.O_CREAT)
    if os.fstat(file).st_size > entry.size:
        os.ftruncate(file, 0)
    try:
        _drop_doubtful(file)
        _lengthen(file, entry.size, partial_files)
    except OSError:
        os.close(file)
        raise
    return file


def _open_regular(path: Path, flags: int) -> int:
    # Not through a link, and without waiting for the other end of a pipe.
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FileExistsError(errno.EEXIST, "it is not a regular file", str(path))
    return file


def _is_trap(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _lengthen(file: int, size: int, partial_files: list[Path]) -> None:
    """Append what the longest known partial file has beyond this one: all are prefixes of the same file.

    Appended in place, so that a full disk keeps what was copied and no temporary file is left.
    """
    longest = max(partial_files, key=lambda path: _usable_length(path, size), default=None)
    if longest is None or _usable_length(longest, size) <= os.fstat(file).st_size:
        return
    try:
        other = _open_regular(longest, os.O_RDONLY)
    except OSError:
        return  # no permission, or deleted in the meantime: the bytes are fetched instead
    try:
        position = os.fstat(file).st_size
        while data := os.pread(other, min(PIECE, size - position), position):
            good = bytes_before_zeros(memoryview(data)) if is_of_hf(longest) else len(data)
            position += os.pwrite(file, data[:good], position)
            if good < len(data):
                break
    finally:
        os.close(other)


def boot_time() -> float:
    """Return when this host started, by its clock."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _drop_doubtful(file: int) -> None:
    """Truncate a partial file that was written before the last boot where it may have zeros instead of data.

    After a loss of power, ext4 can have a file's new length without its last bytes.
    """
    status = os.fstat(file)
    if status.st_mtime >= boot_time():
        return
    position = max(0, status.st_size - UNFORCED) // BLOCK * BLOCK
    while piece := os.pread(file, PIECE, position):
        if (good := bytes_before_zeros(memoryview(piece))) < len(piece):
            os.ftruncate(file, position + good)
            return
        position += len(piece)


def bytes_before_zeros(piece: memoryview) -> int:
    """Return the number of bytes before the first block of zeros."""
    for position in range(0, len(piece), BLOCK):
        if not any(piece[position : position + 8]) and not any(piece[position : position + BLOCK]):
            return position
    return len(piece)
