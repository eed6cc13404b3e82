"""Our own copies: wheels as blobs in a registry, from which a build works after upstream deleted its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from images.lock import Platform


def wheels(platform: Platform, folder: Path) -> Iterator[Path]:
    """A platform's mirrored wheels as files with their own names, fetched once, checked by sha256."""
    yield from ()
