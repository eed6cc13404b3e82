"""Crash-safe file writes: atomic rename with fsync of file and folder.

Readers see the old content or the new one, also after a crash or a loss of power. New content has no name
until it is complete, so even a killed process leaves nothing behind (on file systems with O_TMPFILE).
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)  # some network file systems cannot fsync a folder
NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)  # no O_TMPFILE on this file system


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Replace one file. Raises OSError, and then the old file is unchanged."""
    write_texts({path: text}, mode)


def write_texts(files: Mapping[Path, str], mode: int = 0o666) -> None:
    """Replace several files: every new one is complete on disk before the first takes its name.

    Raises OSError. If it occurs before the first rename (disk full, no permission), all files are unchanged.
    """
    with ExitStack() as cleanup:
        complete = {}
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            complete[path] = cleanup.enter_context(_temporary_name(path))
            with _open_until_complete(complete[path], mode) as stream:
                stream.write(text.encode())
        for path, temporary in complete.items():
            temporary.replace(path)
    for folder in {path.parent for path in files}:
        sync_folder(folder)


@contextmanager
def new_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends without an exception. Raises OSError."""
    with _temporary_name(path) as temporary:
        with _open_until_complete(temporary, mode) as stream:
            yield stream
        temporary.replace(path)
        sync_folder(path.parent)


def require_writable(folder: Path) -> None:
    """Raise OSError if no file can be created in a folder."""
    with _temporary_name(folder / "file") as temporary:
        unnamed = _open_unnamed(folder, 0o666)
        os.close(_open_named(temporary, 0o666) if unnamed is None else unnamed)


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    """Yield an unused name in the folder of `path`; delete the file of that name at the end, if there is one."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.incomplete")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _open_until_complete(temporary: Path, mode: int) -> Iterator[BinaryIO]:
    """Open a new file, without a name if possible; once it is complete on disk, it is named `temporary`."""
    unnamed = _open_unnamed(temporary.parent, mode)
    with os.fdopen(_open_named(temporary, mode) if unnamed is None else unnamed, "wb") as stream:
        yield stream
        stream.flush()
        # Without it, a host that loses power may keep the name and lose the content.
        os.fsync(stream.fileno())
        if unnamed is not None:
            _link(unnamed, temporary)


def _open_named(path: Path, mode: int) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)


def _open_unnamed(folder: Path, mode: int) -> int | None:
    """Open a file without a name in a folder, or return None if the file system has no such files."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in NO_UNNAMED_FILES:
            return None
        raise


def _link(file: int, path: Path) -> None:
    """Name an unnamed file. Raises OSError."""
    open_files = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(str(file), path, src_dir_fd=open_files)  # os.link follows the link only if a folder is given
    finally:
        os.close(open_files)


def sync_tree(top: Path) -> None:
    """Force the names in a folder, in all folders below it, and its own name to disk. Raises OSError."""
    for folder, _, _ in os.walk(top, topdown=False):
        sync_folder(folder)
    sync_folder(top.parent)


def sync_folder(folder: str | Path) -> None:
    """Force the names in one folder to disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
