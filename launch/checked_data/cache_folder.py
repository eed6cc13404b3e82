"""The user's cache folder as a store of small files that can be made again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from errors import SlipwayError
from launch import atomic_write, paths


class CacheFolder:
    """Small files in a folder below the cache folder. What cannot be read or written is made again."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, name: str) -> bytes:
        """Return what is kept under a name, or nothing."""
        try:
            return self._path(name).read_bytes()
        except (OSError, SlipwayError):
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Keep something under a name, if that is possible."""
        with suppress(OSError, SlipwayError):
            path = self._path(name)
            paths.writable(path.parent)
            with atomic_write.new_file(path) as stream:
                stream.write(data)

    def _path(self, name: str) -> Path:
        return paths.cache_dir() / self._name / name
