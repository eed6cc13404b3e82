"""What is in a served folder: `DIR/<org>/<name>/...` as repositories, and what a Hub knows of each file.

A folder has no git history, so a repository's commit is the hash of its files' names and contents: the same
bytes are the same commit on every host, and a changed byte is another one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

# What the Hub keeps in LFS by its default .gitattributes; anything over 10 MB must be there too.
LFS_SUFFIXES = frozenset({".bin", ".gguf", ".h5", ".model", ".onnx", ".pt", ".pth", ".safetensors", ".zip"})
LFS_ABOVE = 10 * 1000 * 1000
CHUNK = 1 << 20


@dataclass(frozen=True)
class ServedFile:
    """One file. `blob_id` is git's hash of it, `sha256` of its bytes; both as hex."""

    path: str
    at: Path
    size: int
    blob_id: str
    sha256: str

    @property
    def lfs(self) -> bool:
        """Whether the Hub would keep it outside git, and so send clients to another host for it."""
        return self.size > LFS_ABOVE or PurePosixPath(self.path).suffix in LFS_SUFFIXES

    @property
    def etag(self) -> str:
        """The name of its blob in a client's cache."""
        return self.sha256 if self.lfs else self.blob_id


@dataclass(frozen=True)
class Repository:
    """A model repository at its one and only commit."""

    model: str
    files: Sequence[ServedFile]

    @cached_property
    def commit(self) -> str:
        """40 hex digits that follow from names and contents."""
        listing = "".join(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha1(listing.encode()).hexdigest()

    @cached_property
    def licence(self) -> str:
        """What the model card's front matter says, empty where it says nothing."""
        card = self.by_path.get("README.md")
        found = (
            re.match(r"---\n(?:.*\n)*?license: *(\S+)", card.at.read_text(errors="replace")) if card else None
        )
        return found[1] if found else ""

    @cached_property
    def by_path(self) -> dict[str, ServedFile]:
        """Its files by their name in the repository."""
        return {file.path: file for file in self.files}


def models(folder: Path) -> list[str]:
    """The names `<org>/<name>` of the folders two levels down."""
    return sorted(f"{at.parent.name}/{at.name}" for at in folder.glob("*/*") if at.is_dir() and _plain(at))


def read_repository(folder: Path, model: str) -> Repository:
    """Read and hash every file of one model; links that lead out of its folder are left out."""
    root = (folder / model).resolve()
    found = sorted(at for at in root.rglob("*") if at.is_file() and _inside(at, root))
    found = [at for at in found if all(_plain(part) for part in at.relative_to(root).parents) and _plain(at)]
    with ThreadPoolExecutor() as pool:
        return Repository(model, tuple(pool.map(lambda at: _read_file(root, at), found)))


def nameless(folder: Path) -> list[str]:
    """Files that are not served: their names are no text, or have characters that no file of a model has."""
    return sorted(str(at) for at in folder.rglob("*") if at.is_file() and not _nameable(at))


def _nameable(at: Path) -> bool:
    return at.name.isprintable() and "\\" not in at.name


def _plain(at: Path) -> bool:
    return _nameable(at) and (not at.name.startswith(".") or at.name == ".gitattributes")


def _inside(at: Path, root: Path) -> bool:
    return at.resolve().is_relative_to(root)


def _read_file(root: Path, at: Path) -> ServedFile:
    size = at.stat().st_size
    git, plain = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
    with at.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            git.update(chunk)
            plain.update(chunk)
    return ServedFile(at.relative_to(root).as_posix(), at, size, git.hexdigest(), plain.hexdigest())
