"""Read a served folder: `DIR/<org>/<name>/...` as repositories, with the facts a Hub has of each file.

A folder has no git history, so a repository's commit is the hash of its file names and contents: the same
content is the same commit on every host.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

# What the Hub keeps in LFS by its default .gitattributes; files over 10 MB are always in LFS.
LFS_SUFFIXES = frozenset({".bin", ".gguf", ".h5", ".model", ".onnx", ".pt", ".pth", ".safetensors", ".zip"})
LFS_ABOVE = 10 * 1000 * 1000
CHUNK = 1 << 20


@dataclass(frozen=True)
class ServedFile:
    """One file. `blob_id` is git's hash of it, `sha256` that of its content; both in hex."""

    path: str
    at: Path
    size: int
    blob_id: str
    sha256: str

    @property
    def lfs(self) -> bool:
        """Whether the Hub would store it outside git, and so redirect clients to another host."""
        return self.size > LFS_ABOVE or PurePosixPath(self.path).suffix in LFS_SUFFIXES

    @property
    def etag(self) -> str:
        """The name of its blob in a client's cache."""
        return self.sha256 if self.lfs else self.blob_id


@dataclass(frozen=True)
class Repository:
    """A model repository at its only commit."""

    model: str
    files: Sequence[ServedFile]

    @cached_property
    def commit(self) -> str:
        """40 hex digits, computed from names and contents."""
        listing = "".join(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha1(listing.encode()).hexdigest()

    @cached_property
    def licence(self) -> str:
        """The licence in the model card's front matter, or an empty string."""
        card = self.by_path.get("README.md")
        if not card:
            return ""
        match = re.match(r"---\n(?:.*\n)*?license: *(\S+)", card.at.read_text(errors="replace"))
        return match[1] if match else ""

    @cached_property
    def by_path(self) -> dict[str, ServedFile]:
        """Its files by their path in the repository."""
        return {file.path: file for file in self.files}


def read_repository(folder: Path, model: str) -> Repository:
    """Read and hash every file of one model; links that lead out of its folder are left out."""
    root = (folder / model).resolve()
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.resolve().is_relative_to(root))
    paths = [
        path for path in paths if all(_is_served(part) for part in (path, *path.relative_to(root).parents))
    ]
    with ThreadPoolExecutor() as pool:
        return Repository(model, tuple(pool.map(lambda path: _read_file(root, path), paths)))


def unservable_files(folder: Path) -> list[str]:
    """Return files whose names are not text, or have characters that a Hub does not allow; they are not served."""
    return sorted(str(path) for path in folder.rglob("*") if path.is_file() and not _has_valid_name(path))


def _has_valid_name(path: Path) -> bool:
    return path.name.isprintable() and "\\" not in path.name


def _is_served(path: Path) -> bool:
    return _has_valid_name(path) and (not path.name.startswith(".") or path.name == ".gitattributes")


def _read_file(root: Path, path: Path) -> ServedFile:
    size = path.stat().st_size
    git, plain = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            git.update(chunk)
            plain.update(chunk)
    return ServedFile(path.relative_to(root).as_posix(), path, size, git.hexdigest(), plain.hexdigest())
