"""Check a local folder before a container serves the model in it: it is mounted alone, read-only."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from errors import Refused
from launch.recipes.model_kind import check_files
from launch.weights import lfs_pointer


def served_name(folder: Path) -> str:
    """Return the name under which a folder is served: its own, with the characters of a model's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._")[:96] or "model"


def check_folder(folder: Path, names: Collection[str], index: Mapping[str, Any], given: str) -> None:
    """Raise Refused for a folder that the server could not read. `index` is that of the weights, {} without one."""
    _require_mountable(folder, names, given)
    _require_shards(names, index, given)
    _require_readable(folder, names, given)
    _require_no_pointers(folder, names, given)


def folder_of(given: str) -> Path:
    """Return the absolute path of a folder. Raises Refused if it is not one."""
    path = Path(given).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        check_files([path.name], f"'{given}'")
    if not path.is_dir():
        what = f"'{given}' is a file" if path.exists() else f"no such folder: '{given}'"
        why = "a local model is a folder with config.json, tokenizer and weights"
        raise Refused(what, why=why, fix="name the folder, or a model as org/name")
    return path.resolve()


def sizes_of(folder: Path, place: str) -> dict[str, int]:
    """Return the sizes of the files in a folder. Raises Refused if it cannot be read."""
    try:
        return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        raise Refused(f"cannot read the folder '{place}'", why=error.strerror or str(error)) from error


def _require_mountable(folder: Path, names: Collection[str], given: str) -> None:
    """Raise Refused for a path that no engine mounts, and for links that lead out of the folder."""
    if ":" in str(folder) or not str(folder).isprintable():
        why = "a path with ':' or control characters cannot be mounted"
        raise Refused(f"cannot mount the folder {str(folder)!a}", why=why, fix="rename it")
    for name in sorted(names):
        if (target := (folder / name).resolve()).parent != folder and not target.is_relative_to(folder):
            why = "the server sees only this folder"
            fix = _link_fix(folder, given)
            raise Refused(f"'{given}/{name}' is a link out of the folder", why=why, fix=fix)


def _require_shards(names: Collection[str], index: Mapping[str, Any], given: str) -> None:
    """Raise Refused if the index of the weights names a file that is not there."""
    weight_map = index.get("weight_map")
    shards = {str(name) for name in weight_map.values()} if isinstance(weight_map, dict) else set()
    if missing := sorted(shards - set(names)):
        what = f"'{given}' lacks {len(missing)} of {len(shards)} files with weights"
        raise Refused(what, why=f"{missing[0][:100]!a} is missing", fix="copy the missing files there")


def _require_readable(folder: Path, names: Collection[str], given: str) -> None:
    """Raise Refused for what the server may not read: it is the caller without the capabilities of root."""
    for path in (folder, *(folder / name for name in sorted(names))):
        status = path.stat()
        own = stat.S_IRUSR if status.st_uid == os.getuid() else 0
        group = stat.S_IRGRP if status.st_gid == os.getgid() else 0
        if not status.st_mode & (own or group or stat.S_IROTH):
            shown = given if path == folder else f"{given}/{path.name}"
            why = f"its owner is {status.st_uid} and its mode {stat.S_IMODE(status.st_mode):o}"
            raise Refused(f"the server cannot read '{shown}'", why=why, fix=f"chmod -R a+rX {given}")


def _require_no_pointers(folder: Path, names: Collection[str], given: str) -> None:
    """Raise Refused for what a clone without Git LFS has instead of weights."""
    for name in sorted(names):
        path = folder / name
        if lfs_pointer.may_be_pointer(name, path.stat().st_size) and lfs_pointer.is_pointer(path):
            why = "the repository was cloned without Git LFS"
            raise Refused(f"'{given}/{name}' is a Git LFS pointer", why=why, fix=f"git -C {given} lfs pull")


def _link_fix(folder: Path, given: str) -> str:
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return f"invoke plan {repository.removeprefix('models--').replace('--', '/')}"
    return f"cp -rL {given} COPY, then name the copy"
