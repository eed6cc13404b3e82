"""Read recipes from a folder of this host: regular files only, which are copied, so that they are pinned."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from errors import Failed
from launch.recipe_sources.limits import (
    FILES,
    FOLDERS,
    MAX_FILES,
    check_path,
    check_sizes,
    is_recipe_file,
    refused,
)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the recipes of a folder by their paths. Raises Refused for links and large files, Failed if unreadable."""
    try:
        sizes = dict(_sizes(folder))
        check_sizes(sizes)
        files = {path: _read(folder / path, size) for path, size in sorted(sizes.items())}
    except OSError as error:
        raise Failed(f"cannot read '{error.filename or folder}'", why=error.strerror or str(error)) from error
    return files


def content_id(files: dict[str, bytes]) -> str:
    """Return 40 hex digits over paths and contents, which pin a folder as a commit pins a repository."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{len(path)}:{path}{len(content)}:".encode() + content)
    return digest.hexdigest()[:40]


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    seen = 0
    for top in (*FOLDERS, *FILES):
        for path in _walk(folder / top):
            name = path.relative_to(folder).as_posix()
            check_path(name)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                raise refused(f"{name} is a symbolic link")
            if not is_recipe_file(name):
                continue
            if not stat.S_ISREG(status.st_mode):
                raise refused(f"{name} is not a regular file")
            seen += 1
            if seen > MAX_FILES:
                raise refused(f"it has more than {MAX_FILES:,} recipes")
            yield name, status.st_size


def _walk(top: Path) -> Iterator[Path]:
    """Yield all files and links below a path; nothing if it does not exist. Links are not followed."""
    if top.is_symlink() or top.is_file():
        yield top
    for folder, folders, names in os.walk(top, onerror=_raise):
        yield from (Path(folder, name) for name in names)
        yield from (Path(folder, name) for name in folders if Path(folder, name).is_symlink())


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _read(path: Path, size: int) -> bytes:
    """Read a file that was regular and of this size; one that has grown since is cut, and then not valid."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        return stream.read(size)
