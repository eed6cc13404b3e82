"""Read a small file of a cache that others write to: what lies under its name may be a pipe, or have no end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """The bytes of a plain file of at most so many. Raises OSError for everything else, and waits for nothing."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(file, "rb") as stream:  # noqa: PTH123 -- it is open already
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"it has {found.st_size} bytes", str(path))
        return stream.read()
