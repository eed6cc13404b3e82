"""A cache that several users write to: a folder with the setgid bit that its group may write to."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from errors import Failed

GROUP = 0o070


@contextlib.contextmanager
def group_permissions(cache: Path) -> Iterator[None]:
    """Let what is created in the block be writable for the group, if the cache is a folder that a group shares.

    The usual umask (022) would take that away, and the next user could not continue. The umask is that of the process:
    files that other threads create meanwhile get the same permissions.
    """
    if not is_shared(cache):
        yield
        return
    before = os.umask(0o002)
    os.umask(before & ~GROUP)
    try:
        yield
    finally:
        os.umask(before)


def is_shared(cache: Path) -> bool:
    """Whether the members of a group write to a cache: setgid, and writable for the group."""
    existing = next((path for path in (cache, *cache.parents) if path.exists()), None)
    mode = existing.stat().st_mode if existing else 0
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def others_folder(error: OSError, cache: Path) -> Path | None:
    """Return the file or folder below the cache that belongs to another user and refused this one, None for none."""
    named = Path(os.fsdecode(error.filename)) if error.filename else cache
    for path in (named, *named.parents):
        if not path.is_relative_to(cache):
            return None
        with contextlib.suppress(OSError):
            if path.lstat().st_uid != os.getuid() and not os.access(path, os.R_OK | os.W_OK):
                return path
    return None


def not_shared(place: Path, error: OSError) -> Failed:
    """Return the error for a cache of another user. Its files are here, so the advice is not to fetch them again."""
    status = place.stat()
    owner, top = _user(status.st_uid), _model_folder(place)
    return Failed(
        f"user {_user(os.getuid())} may not write to '{place}'",
        why=f"it belongs to {owner} with mode {stat.S_IMODE(status.st_mode):o} ({error.strerror})",
        fix=f"ask {owner} to run: chmod -R g+rwX {top}",
    )


def _model_folder(place: Path) -> Path:
    """Return the folder of the model that a path is in, else of the locks, else the path itself."""
    return next((path for path in (place, *place.parents) if path.name.startswith("models--")), place)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
