"""A snapshot in the cache: its links, and whether it is complete and as it was verified."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed, SlipwayError
from launch import atomic_write
from launch.weights import manifest as manifests
from launch.weights.cache import ModelFolder, cache_folder
from launch.weights.file_state import Fault, Kind, content_of, name_fault
from launch.weights.manifest import WEIGHTS, Entry, Manifest

ORDER: tuple[Kind, ...] = ("missing", "damaged", "unverified", "changed")
# What `symlink` fails with on FAT, exFAT and some network file systems. `EACCES` is a matter of permissions.
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
SHOWN = 5  # faults in one message


@dataclass(frozen=True)
class Snapshot:
    """A model at a commit on this host. `bytes` is the size of its files, `fetched` what was transferred now.

    `verified` is the time (UTC) from which on every file is known to have its hash; empty if that is not known.
    """

    model: str
    revision: str
    commit: str
    path: Path
    files: int
    bytes: int
    fetched: int = 0
    licence: str = ""
    verified: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke fetch --format json`."""
        return {**self.__dict__, "path": str(self.path)}


def require_complete(
    model: str, revision: str = "main", cache: Path | None = None, digest: str = ""
) -> Snapshot:
    """Return the snapshot that a server would load; compare its files with what was verified, offline.

    No byte is read. `digest` is the one that the list of files must have; empty accepts any. Raises Failed, with the
    next command, if the snapshot is absent, incomplete, another one, or was changed since.
    """
    folder = ModelFolder(cache or cache_folder(), model)
    commit = folder.commit(revision)
    fix = fetch_command(model, revision, cache)
    if commit is None or not folder.snapshot(commit).is_dir():
        at = f" at {commit[:12]}" if commit else ""
        raise Failed(f"{model}{at} is not in the cache", why=absence(folder, revision), fix=fix)
    manifest = manifests.load(folder.manifest(commit))
    if manifest is None:
        why = "it has no manifest, so it may be incomplete"
        raise Failed(f"{model} at {commit[:12]} was never verified", why=why, fix=fix)
    manifests.require_digest(manifest, digest, fix)
    if faults := faults_of(folder, manifest):
        raise incomplete_or_changed(
            model, commit, faults, fix, verify_command(model, revision, cache, "--deep")
        )
    return described(folder, manifest, revision)


def described(folder: ModelFolder, manifest: Manifest, revision: str, fetched: int = 0) -> Snapshot:
    """Return the facts of a complete snapshot."""
    return Snapshot(
        manifest.model,
        revision,
        manifest.commit,
        folder.snapshot(manifest.commit),
        len(manifest.wanted),
        manifest.size,
        fetched,
        manifest.licence,
        min((entry.verified for entry in manifest.wanted), default=""),
    )


def last_verified(model: str, commit: str, cache: Path) -> str:
    """Return when the files that a server reads were verified (UTC), or in one word why that is not known.

    The words are `never` (no manifest), and the kind of the worst fault: `missing`, `damaged`, `changed`, `unverified`.
    """
    try:
        folder = ModelFolder(cache, model)
        manifest = manifests.load(folder.manifest(commit))
    except SlipwayError:
        return "never"
    if manifest is None:
        return "never"
    if faults := faults_of(folder, manifest):
        return faults[0].kind
    return min(entry.verified for entry in manifest.wanted)


def incomplete_or_changed(model: str, commit: str, faults: list[Fault], fetch: str, verify: str) -> Failed:
    """Return the error for these faults: what was only written to is verified again, all else is fetched."""
    name, why = f"{model} at {commit[:12]}", lines_of(faults)
    if all(one.kind == "changed" for one in faults):
        return Failed(f"{name} was changed since it was verified", why=why, fix=verify)
    return Failed(f"{name} is incomplete", why=why, fix=fetch)


def absence(folder: ModelFolder, revision: str) -> str:
    """Return why the cache has no snapshot of a revision."""
    if not folder.path.is_dir():
        return f"it was never fetched to '{folder.path.parent}'"
    return f"'{folder.path}' has no revision '{revision}'"


def fetch_command(model: str, revision: str, cache: Path | None) -> str:
    """Return the command line that completes a snapshot."""
    words = ["invoke", "fetch", model]
    words += ["--revision", revision] if revision != "main" else []
    words += ["--cache", str(cache)] if cache else []
    return shlex.join(words)


def lines_of(faults: Sequence[Fault]) -> str:
    """Return the first faults as one line."""
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(map(str, faults[:SHOWN])) + more


def verify_command(model: str, revision: str, cache: Path | None, *more: str) -> str:
    """Return the command line that verifies a snapshot."""
    return " ".join([fetch_command(model, revision, cache).replace("fetch", "verify", 1), *more])


def faults_of(folder: ModelFolder, manifest: Manifest) -> list[Fault]:
    """Return each file that is not as it was verified, the worst first; weights that were left out count too."""
    if not manifest.wanted:
        return [Fault("its manifest", "missing", "names no file")]
    left_out = [one for one in manifest.entries if not one.wanted and WEIGHTS.fullmatch(one.path)]
    faults = [Fault(one.path, "missing", "was left out") for one in left_out] + file_faults(folder, manifest)
    return sorted(faults, key=lambda one: ORDER.index(one.kind))


def file_faults(folder: ModelFolder, manifest: Manifest) -> list[Fault]:
    """Return each wanted file that is not as it was verified."""
    faults = (name_fault(folder, manifest.commit, entry) for entry in manifest.wanted)
    return [fault for fault in faults if fault]


def link(folder: ModelFolder, commit: str, entry: Entry) -> bool:
    """Link the file's name in the snapshot to its blob, atomically. Raises OSError.

    Return false if the file system has no links: then the file itself is there, as with huggingface_hub.
    """
    path = folder.snapshot(commit) / entry.path
    target = os.path.relpath(folder.blobs / entry.blob, path.parent)
    if path.is_symlink() and os.readlink(path) == target:  # noqa: PTH115 -- readlink as text, to compare
        return True
    _require_folder(folder, commit, path.parent, Path(entry.path).parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{entry.blob}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _place(folder, commit, entry, temporary)
        return False
    temporary.replace(path)
    return True


def _place(folder: ModelFolder, commit: str, entry: Entry, temporary: Path) -> None:
    """Put the content itself at a file's name: moved, or copied if another name has the same content."""
    blob, path = folder.blobs / entry.blob, folder.snapshot(commit) / entry.path
    if blob.is_file():
        blob.replace(path)
    elif not path.is_file():
        same = next(one for one in _names_of(folder, commit, entry) if one.is_file())
        shutil.copyfile(same, temporary)
        temporary.replace(path)


def _names_of(folder: ModelFolder, commit: str, entry: Entry) -> list[Path]:
    """Return all names with this content in a snapshot."""
    manifest = manifests.load(folder.manifest(commit))
    entries = manifest.entries if manifest else ()
    return [folder.snapshot(commit) / one.path for one in entries if one.blob == entry.blob]


def adopt_copies(folder: ModelFolder, commit: str, missing: Sequence[Entry]) -> None:
    """Move files that are in the snapshot instead of links to their blobs' names, where a fetch verifies them.

    huggingface_hub leaves such files where links do not work. Raises OSError.
    """
    for entry in missing:
        path, blob = folder.snapshot(commit) / entry.path, folder.blobs / entry.blob
        _require_folder(folder, commit, path.parent, Path(entry.path).parent)
        if content_of(folder, commit, entry) == path and path.stat().st_size == entry.size:
            path.replace(blob)


def require_inside(folder: ModelFolder, commit: str) -> None:
    """Raise OSError if the snapshot's folder leads out of the model's folder."""
    _require_folder(folder, commit, folder.snapshot(commit), Path())


def _require_folder(folder: ModelFolder, commit: str, path: Path, inside: Path) -> None:
    if path.resolve() != folder.path.resolve() / "snapshots" / commit / inside:
        raise FileExistsError(errno.EEXIST, "a link leads out of the snapshot", str(path))


def set_ref(folder: ModelFolder, revision: str, commit: str) -> None:
    """Store the commit of a branch or tag."""
    ref = folder.ref(revision)
    if revision == commit or (ref.is_file() and ref.read_bytes() == commit.encode()):
        return
    atomic_write.write_text(ref, commit)
