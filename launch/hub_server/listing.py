"""What a Hub says of a model and of its files, as JSON values (huggingface_hub 2.4, `hf_api.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from launch.hub_server.repository import Repository, ServedFile, ServedModel, git_hash

PAGE = 1000  # entries in one page of a tree, as on the Hub
SIBLINGS = 10 * PAGE
TIME = "1970-01-01T00:00:00.000Z"  # a folder and a cache do not know when a commit was made


def info(repository: Repository, with_sizes: bool = False) -> dict[str, Any]:
    """Return the facts of a model at a commit; `with_sizes` adds size and hash of each file."""
    siblings = [_sibling(file, with_sizes) for file in repository.files[:SIBLINGS]]
    tags = [f"license:{repository.licence}"] if repository.licence else []
    return {**summary(repository.model), "sha": repository.commit, "siblings": siblings, "tags": tags}


def summary(model: str) -> dict[str, Any]:
    """Return what a list of models says of one."""
    return {"id": model, "modelId": model, "private": False, "gated": False, "disabled": False, "tags": []}


def _sibling(file: ServedFile, with_size: bool) -> dict[str, Any]:
    name = {"rfilename": file.path}
    if not with_size:
        return name
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    return {**name, "size": file.size, "blobId": file.blob_id, **({"lfs": lfs} if file.lfs else {})}


def tree(
    repository: Repository, folder: str, recursive: bool, start: int = 0
) -> tuple[list[dict[str, Any]], int] | None:
    """Return a page of the files and folders in a folder, from the file at `start` on; None if there is no such folder.

    The second value is the start of the next page, or 0 after the last one.
    """
    folder = folder.strip("/")
    inside = _inside(repository.files, folder) if folder else repository.files
    if folder and not inside:
        return None
    depth = len(folder.split("/")) if folder else 0
    if not recursive:
        return list(_below(inside, "", depth, recursive)), 0
    before = inside[start - 1].path if start else ""
    end = start + PAGE
    return list(_below(inside[start:end], before, depth, recursive)), end if end < len(inside) else 0


def _inside(files: Sequence[ServedFile], folder: str) -> Sequence[ServedFile]:
    return [file for file in files if file.path.startswith(f"{folder}/")]


def _below(files: Iterable[ServedFile], before: str, depth: int, recursive: bool) -> Iterator[dict[str, Any]]:
    """Yield the files, and each folder once, at a depth or (recursive) from there on; `before` is on the last page."""
    seen = set(_folders(before))
    for file in files:
        folders = _folders(file.path)[depth:]
        for folder in folders if recursive else folders[:1]:
            if folder not in seen:
                seen.add(folder)
                yield _folder(folder)
        if recursive or not folders:
            yield _entry(file)


def _folders(path: str) -> list[str]:
    """Return the folders that a file is in, the outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def paths(repository: Repository, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the entries of these files and folders; names that do not exist are left out, as on the Hub."""
    return [entry for name in names if (entry := _find(repository, name.strip("/")))]


def _find(repository: Repository, name: str) -> dict[str, Any] | None:
    if file := repository.by_path.get(name):
        return _entry(file)
    return _folder(name) if _inside(repository.files, name) else None


def _entry(file: ServedFile) -> dict[str, Any]:
    entry = {"type": "file", "path": file.path, "size": file.size, "oid": file.blob_id}
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    return {**entry, "lfs": lfs} if file.lfs else entry


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": git_hash(path.encode())}


def refs(model: ServedModel) -> dict[str, Any]:
    """Return the branches. A cache does not tell branches from tags, so all of them are branches."""
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
        for name, commit in model.refs.items()
    ]
    return {"branches": branches, "converts": [], "tags": [], "pullRequests": []}


def commits(repository: Repository) -> list[dict[str, Any]]:
    """Return the only commit that is known of a branch."""
    commit = {
        "id": repository.commit,
        "title": "served by Slipway",
        "message": "",
        "authors": [],
        "date": TIME,
    }
    return [commit]
