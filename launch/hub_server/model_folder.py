"""Read a model in a plain folder, `FOLDER/ORGANIZATION/NAME/`, also one that `hf download --local-dir` made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from launch.hub_server.file_hashes import FileHashes
from launch.hub_server.repository import FileState, Repository, ServedFile, git_hash, is_in_lfs
from launch.weights import lfs_pointer
from launch.weights.local_download import Origin, origins


def read_repository(folder: Path, model: str, hashes: FileHashes | None = None) -> Repository:
    """Read one model; hash the files that are not known. Files that a Hub cannot serve are left out, and named."""
    hashes = hashes or FileHashes()
    root = (folder / model).resolve()
    paths = sorted(path for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    paths = [path for path in paths if not _is_hidden(path.relative_to(root))]
    reasons = {path: _reason(path, root) for path in paths}
    known = origins(root)
    with ThreadPoolExecutor() as pool:
        files = list(
            pool.map(
                lambda path: _read_file(root, path, hashes, known),
                (path for path in paths if not reasons[path]),
            )
        )
    hashes.save()
    left_out = [f"{path.relative_to(root)!s} {why}" for path, why in reasons.items() if why]
    left_out += [file for file in files if isinstance(file, str)]
    served = [file for file in files if isinstance(file, ServedFile)]
    return Repository(model, tuple(served), _upstream(served, known), "", tuple(left_out))


def _upstream(files: list[ServedFile], known: dict[str, Origin]) -> str:
    """Return the commit that all files were downloaded from, or an empty string."""
    commits = {known[file.path].commit if file.path in known else "" for file in files}
    return commits.pop() if len(commits) == 1 else ""


def _is_hidden(path: Path) -> bool:
    names = [path.name, *(parent.name for parent in path.parents if parent.name)]
    return any(name.startswith(".") and name != ".gitattributes" for name in names)


def _reason(path: Path, root: Path) -> str:
    """Return why a file cannot be served, or an empty string."""
    if not all(_has_valid_name(part) for part in path.relative_to(root).parts):
        return "has a name that a Hub does not allow"
    target = path.resolve()
    if not target.is_relative_to(root):
        return f"is a link out of the folder, to {target}"
    if path.is_symlink() and target.is_dir():
        return "is a link to a folder"
    if not path.is_file():
        return "is not a file"
    return lfs_pointer.TEXT if lfs_pointer.is_pointer(path) else ""


def _has_valid_name(name: str) -> bool:
    return name.isprintable() and "\\" not in name


def _read_file(root: Path, path: Path, hashes: FileHashes, known: dict[str, Origin]) -> ServedFile | str:
    """Return a file with its hashes, or why it cannot be read."""
    name = path.relative_to(root).as_posix()
    try:
        if (origin := known.get(name)) and len(origin.etag) == 64:
            state = FileState.of(path.stat())
            return _with_pointer(ServedFile(name, path, state.size, "", origin.etag, True, state))
        found = hashes.of(path)
    except OSError as error:
        return f"{name} cannot be read: {error.strerror or error}"
    if origin and origin.etag != found.git:
        return f"{name} is not the file that was downloaded"
    in_lfs = False if origin else is_in_lfs(name, found.state.size)
    file = ServedFile(name, path, found.state.size, found.git, found.sha256, in_lfs, found.state)
    return _with_pointer(file) if in_lfs else file


def _with_pointer(file: ServedFile) -> ServedFile:
    return replace(file, blob_id=git_hash(file.pointer))
