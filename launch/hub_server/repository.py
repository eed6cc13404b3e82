"""What a Hub knows of a model: its files with sizes and hashes, its commits, its branches and tags."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

# What the Hub keeps in LFS by its default .gitattributes; files over 10 MB are always in LFS.
LFS_SUFFIXES = frozenset({".bin", ".gguf", ".h5", ".model", ".onnx", ".pt", ".pth", ".safetensors", ".zip"})
LFS_ABOVE = 10 * 1000 * 1000
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
MAIN = "main"


@dataclass(frozen=True)
class FileState:
    """What changes when a file is written to or replaced."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state in the result of `stat`."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True)
class ServedFile:
    """One file. `blob_id` is git's hash of it, `sha256` that of its content; both in hex.

    A file in LFS has no hash of git's own: git has the pointer. `in_lfs` is None where the Hub's default rule decides.
    `state` is that of the hashed file. `fault` says why a listed file is not served; it is empty for all others.
    """

    path: str
    at: Path
    size: int
    blob_id: str
    sha256: str
    in_lfs: bool | None = None
    state: FileState | None = None
    fault: str = ""

    @property
    def lfs(self) -> bool:
        """Whether the Hub stores it outside git, and so redirects clients to another host."""
        return is_in_lfs(self.path, self.size) if self.in_lfs is None else self.in_lfs

    @property
    def etag(self) -> str:
        """The name of its blob in a client's cache."""
        return self.sha256 if self.lfs else self.blob_id

    @property
    def pointer(self) -> bytes:
        """The file that git has instead of one in LFS."""
        return POINTER.format(sha256=self.sha256, size=self.size).encode()


def is_in_lfs(path: str, size: int) -> bool:
    """Return whether the Hub stores a file in LFS, by its default rule."""
    return size > LFS_ABOVE or PurePosixPath(path).suffix in LFS_SUFFIXES


def git_hash(content: bytes) -> str:
    """Return git's hash of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Repository:
    """A model at one commit. `upstream` is the commit that the files came from; empty if that is not known.

    `notes` has a line for each file that is not listed, with the reason, and for what is not verified.
    """

    model: str
    files: Sequence[ServedFile]
    upstream: str = ""
    stated_licence: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def commit(self) -> str:
        """40 hex digits: of the source, else computed from names and contents.

        A folder has no git history; the same content is the same commit on every host.
        """
        if self.upstream:
            return self.upstream
        listing = "".join(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha1(listing.encode()).hexdigest()

    @cached_property
    def licence(self) -> str:
        """The licence in the model card's front matter, or an empty string."""
        card = self.by_path.get("README.md")
        if self.stated_licence or not card:
            return self.stated_licence
        try:
            text = card.at.read_text(errors="replace")
        except OSError:
            return ""
        match = re.match(r"---\n(?:.*\n)*?license: *(\S+)", text)
        return match[1] if match else ""

    @cached_property
    def by_path(self) -> dict[str, ServedFile]:
        """Its files by their path in the repository."""
        return {file.path: file for file in self.files}

    @property
    def problems(self) -> tuple[str, ...]:
        """The notes, and a line for each file that is listed and not served."""
        return (*self.notes, *(f"{file.path} {file.fault}" for file in self.files if file.fault))


@dataclass(frozen=True)
class ServedModel:
    """A model with all its commits on this host. `refs` has the commits of branches and tags."""

    name: str
    repositories: Mapping[str, Repository]
    refs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def single(cls, repository: Repository) -> ServedModel:
        """Return a model that has one commit, which is `main`."""
        return cls(repository.model, {repository.commit: repository}, {MAIN: repository.commit})

    def at(self, revision: str | None) -> Repository | None:
        """Return the model at a branch, tag or commit; `main` for no revision."""
        revision = revision or MAIN
        return self.repositories.get(self.refs.get(revision, revision))

    def stored(self, path: str, sha256: str) -> ServedFile | None:
        """Return a file in LFS by its path and hash, of any commit."""
        found = (one.by_path.get(path) for one in self.repositories.values())
        return next((file for file in found if file and file.sha256 == sha256), None)
