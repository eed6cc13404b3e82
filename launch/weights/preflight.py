"""Find out before the first byte whether a disk can take a model: space, inodes, quota, sizes and names."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from errors import Failed
from launch.weights.cache import ModelFolder
from launch.weights.file_system import file_system_of
from launch.weights.manifest import Entry, Manifest
from launch.weights.progress import amount
from launch.weights.transfer import partial_file

RESERVE = 64 << 20  # bytes that stay free on the disk
PATH_MAX = 4096  # bytes of a path in Linux, including its end
TEMPORARY = 100  # bytes by which a link's temporary name may be longer
FOLDERS = 16  # inodes for folders, the manifest, the ref and temporary files
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # names that every file system has
KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of fallocate(2)
RESERVING = (
    "ext4",
    "xfs",
    "btrfs",
)  # where fallocate only notes extents; elsewhere it may write, or take memory
NOTHING = "nothing was fetched"
OTHER_DISK = "use --cache DIR on another disk"


def require_possible(folder: ModelFolder, manifest: Manifest, missing: Iterable[Entry], needed: int) -> None:
    """Raise Failed if this disk cannot hold the missing files, whose bytes need `needed` more. Raises OSError."""
    entries = tuple(missing)
    _require_short_paths(folder, manifest)
    existing = next(path for path in (folder.blobs, *folder.blobs.parents) if path.exists())
    require_space(folder.model, existing, needed)
    _require_inodes(folder.model, existing, entries)
    if entries and os.access(existing, os.W_OK):
        _require_names(folder.model, existing, manifest)
        _require_sizes(folder.model, existing, max(entries, key=lambda entry: entry.size))
        _require_quota(folder.model, existing, needed)


def require_space(model: str, existing: Path, needed: int) -> None:
    """Raise Failed if the disk is too small."""
    free = shutil.disk_usage(existing).free
    if needed + RESERVE > free:
        raise Failed(
            f"{model} needs {amount(needed)} more, and {existing} has {amount(free)} free",
            why=f"{amount(RESERVE)} stay free; {NOTHING}",
            fix="free some space, or use --cache DIR on another disk",
        )


def _require_inodes(model: str, existing: Path, missing: tuple[Entry, ...]) -> None:
    """Raise Failed if the disk cannot have that many files. A disk that counts no inodes says 0 of 0."""
    facts = os.statvfs(existing)
    needed = 4 * len(missing) + FOLDERS  # blob, link, lock and claim of each file
    if missing and facts.f_files and facts.f_favail < needed:
        raise Failed(
            f"{model} needs {needed} inodes, and the disk of {existing} has {facts.f_favail} free",
            why=f"its space is not the limit; {NOTHING}",
            fix=f"delete files there (df -i {existing}), or {OTHER_DISK}",
        )


def _require_short_paths(folder: ModelFolder, manifest: Manifest) -> None:
    """Raise Failed for file names that are too long for paths in this cache."""
    length = len(os.fsencode(folder.snapshot(manifest.commit)))
    if length + max(len(entry.path.encode()) for entry in manifest.wanted) + TEMPORARY > PATH_MAX:
        raise Failed(
            f"the path of {folder.cache} is too long for the file names of {folder.model}",
            why=f"a path has at most {PATH_MAX} bytes; {NOTHING}",
            fix="use --cache DIR with a shorter path",
        )


def _require_names(model: str, existing: Path, manifest: Manifest) -> None:
    """Raise Failed for names that this file system does not have: tried with empty files, all of which are deleted."""
    names = {part for entry in manifest.wanted for part in entry.path.split("/")}
    folded = [name.casefold() for name in names]
    unusual = {name for name in names if not PLAIN.fullmatch(name) or folded.count(name.casefold()) > 1}
    blob = max(entry.blob for entry in manifest.wanted)
    with tempfile.TemporaryDirectory(prefix=".slipway-names-", dir=existing) as probe:
        for name in sorted({*unusual, partial_file.name(blob)}):
            try:
                os.close(os.open(Path(probe) / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except OSError as error:
                raise Failed(
                    f"the disk of {existing} cannot have the file name {name[:120]!a} of {model}",
                    why=f"{_name_problem(error)}; {NOTHING}",
                    fix=OTHER_DISK,
                ) from error


def _name_problem(error: OSError) -> str:
    texts = {
        errno.ENAMETOOLONG: "it is too long for this file system",
        errno.EEXIST: "this file system does not tell capital from small letters",
        errno.EINVAL: "this file system does not allow its characters",
    }
    return texts.get(error.errno or 0, str(error.strerror))


def _require_sizes(model: str, existing: Path, largest: Entry) -> None:
    """Raise Failed if the disk cannot have a file that large, as FAT above 4 GiB."""
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:
            if largest.size >= 1 << 31:  # FAT would write the zeros of a smaller one
                os.ftruncate(probe.fileno(), max(largest.size, 1 << 32))
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise Failed(
            f"the disk of {existing} cannot have a file of {amount(largest.size)}",
            why=f"{model} has {largest.path}, and a limit of the file system or of this process (ulimit -f) is lower",
            fix=f"raise the limit, or {OTHER_DISK}",
        ) from error


def _require_quota(model: str, existing: Path, needed: int) -> None:
    """Raise Failed if the user's quota is too small: reserve the space in a file without a name, and free it again."""
    if needed <= 0 or file_system_of(existing) not in RESERVING:
        return
    with tempfile.TemporaryFile(dir=existing) as probe:
        if _fallocate(probe.fileno(), needed) == errno.EDQUOT:
            raise quota_used_up(existing, f"{model} needs {amount(needed)} more; {NOTHING}")


def quota_used_up(place: Path, why: str) -> Failed:
    """Return the error for a disk that has space, but not for this user."""
    return Failed(
        f"the quota on the disk of {place} is used up",
        why=why,
        fix=f"ask for a larger quota (quota -s shows it), or {OTHER_DISK}",
    )


def _fallocate(file: int, size: int) -> int:
    """Reserve space for a file; return 0 or the error number. Not os.posix_fallocate, which may write zeros."""
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "fallocate64", None) or libc.fallocate
    done: int = function(file, KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size))
    return ctypes.get_errno() if done else 0
