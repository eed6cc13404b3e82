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

FULL = (errno.ENOSPC, errno.EDQUOT)


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


def length(at: Path) -> int:
    """Bytes of a plain file, 0 for all else and for what nobody may look at."""
    try:
        found = at.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def open_own(place: Place, blob: str, known: list[Path], size: int) -> int:
    """This host's partial file, made if there is none, or continued from a known one that is longer.

    Of one that is longer than the `size` of the whole file nothing is taken. Raises OSError.
    """
    path = own(place, blob)
    if _is_trap(path):
        path.unlink()
    longest = max((at for at in known if length(at) <= size), key=length, default=path)
    if length(longest) > length(path):
        _adopt(path, longest)
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


def _adopt(path: Path, other: Path) -> None:
    """Take over another host's partial file, where there is room for a copy: that host may still be writing it."""
    temporary = path.with_suffix(".copy")
    temporary.unlink(missing_ok=True)
    try:
        with other.open("rb") as source, temporary.open("xb") as copy:
            while data := source.read(PIECE):
                copy.write(data)
        temporary.rename(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
    finally:
        temporary.unlink(missing_ok=True)
