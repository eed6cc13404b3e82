"""Hashes of served files, kept by size, modification time and inode: each file is read once.

The store is a JSON file in the user's cache folder. Losing it costs only time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from launch import atomic_write
from launch.hub_server.repository import LFS_ABOVE, FileState
from launch.weights import safe_read

CHUNK = 1 << 20
MOST = 200_000  # hashes in the store; the oldest ones go first
LARGEST_STORE = 64 << 20  # bytes
OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Hashes:
    """The hashes of one file's content in hex: SHA-256, and git's; git's is empty for a file of LFS's size."""

    sha256: str
    git: str
    state: FileState


@dataclass
class FileHashes:
    """The known hashes. `store` is the file that keeps them; None keeps them in memory. Threads may share it."""

    store: Path | None = None
    on_bytes: OnBytes = lambda count: None
    _known: dict[str, list[str]] = field(default_factory=dict)
    _changed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.store:
            self._known = _load(self.store)

    def of(self, path: Path) -> Hashes:
        """Return the hashes of a file; read it only if it is not known in this state. Raises OSError."""
        with path.open("rb", buffering=0) as stream:
            status = os.fstat(stream.fileno())
            state, key = FileState.of(status), _key(status)
            if known := self._known.get(key):
                return Hashes(known[0], known[1], state)
            sha256, git = self._read(stream.fileno(), status.st_size)
            if FileState.of(os.fstat(stream.fileno())) != state:
                raise OSError(f"'{path}' is being written to")
        with self._lock:
            self._known[key], self._changed = [sha256, git], True
        return Hashes(sha256, git, state)

    def _read(self, file: int, size: int) -> tuple[str, str]:
        git, plain = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
        for_git = size <= LFS_ABOVE  # git has only the pointer of a larger one
        buffer, position = memoryview(bytearray(CHUNK)), 0
        while count := os.preadv(file, [buffer], position):
            if for_git:
                git.update(buffer[:count])
            plain.update(buffer[:count])
            position += count
            self.on_bytes(count)
        return plain.hexdigest(), git.hexdigest() if for_git else ""

    def save(self) -> None:
        """Write the store if there is something new. A store that cannot be written is left as it is."""
        with self._lock:
            if self.store is None or not self._changed:
                return
            self._changed = False
            newest = dict(list(self._known.items())[-MOST:])
        with contextlib.suppress(OSError):
            atomic_write.write_text(self.store, json.dumps(newest))


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _load(store: Path) -> dict[str, list[str]]:
    """Return the stored hashes, or none if the store is absent or not valid."""
    try:
        values = json.loads(safe_read.read(store, LARGEST_STORE))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        key: one
        for key, one in values.items()
        if isinstance(one, list) and list(map(type, one)) == [str, str]
    }
