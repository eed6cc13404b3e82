"""The partial file of a blob: whose it is, and how it is opened where others may write too.

Each host has its own, so that locks that do not lock cost time, not bytes. In a cache that is shared, a name may
be a trap: what is no plain file is never written through, nor waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from launch.weights.cache import Place
from launch.weights.proof import PIECE


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


def open_own(place: Place, blob: str, known: list[Path]) -> int:
    """This host's partial file, made if there is none, or continued from a known one. Raises OSError."""
    path = own(place, blob)
    if _is_trap(path):
        path.unlink()
    if not path.exists():
        _adopt(path, known)
    # Not through a link, and not waiting for the other end of a pipe.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags, 0o666)
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


def _adopt(path: Path, known: list[Path]) -> None:
    """Take over another host's partial file; a copy, because that host may still be writing it."""
    for other in known:
        temporary = path.with_suffix(".copy")
        temporary.unlink(missing_ok=True)
        with other.open("rb") as source, temporary.open("xb") as copy:
            while data := source.read(PIECE):
                copy.write(data)
        temporary.rename(path)
        return
