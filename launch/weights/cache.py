"""Paths in the Hugging Face cache, without importing huggingface_hub.

models--org--name/blobs/<etag>
                  refs/<revision>              the commit of a branch or tag
                  snapshots/<commit>/<path> -> ../../blobs/<etag>
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from errors import Refused
from launch.weights import safe_read

COMMIT = re.compile(r"[0-9a-f]{40}")
MODEL = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9_][\w./-]{0,200}")


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache that huggingface_hub uses: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME or ~/.cache."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(name):
            return Path(os.path.expandvars(environ[name])).expanduser()
    return hf_home(environ) / "hub"


def hf_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return HF_HOME, or its default in the user's cache folder."""
    if environ.get("HF_HOME"):
        return Path(os.path.expandvars(environ["HF_HOME"])).expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"


@dataclass(frozen=True)
class ModelFolder:
    """One model's folder in a cache. Raises Refused for an invalid model name."""

    cache: Path
    model: str

    def __post_init__(self) -> None:
        if not MODEL.fullmatch(self.model) or ".." in self.model or "--" in self.model:
            raise Refused(f"'{self.model}' is not a model name", fix="write it as organisation/name")

    @property
    def path(self) -> Path:
        """The folder, `models--org--name`."""
        return self.cache / self._name

    @property
    def _name(self) -> str:
        return "--".join(("models", *self.model.split("/")))

    @property
    def blobs(self) -> Path:
        """The folder of file contents, each named by its etag."""
        return self.path / "blobs"

    @property
    def locks(self) -> Path:
        """The folder of lock files, the same as huggingface_hub's, so that both respect each other's locks."""
        return self.cache / ".locks" / self._name

    def snapshot(self, commit: str) -> Path:
        """Return the folder with the model's files at a commit, as links to blobs."""
        return self.path / "snapshots" / commit

    def ref(self, revision: str) -> Path:
        """Return the file with the commit that a branch or tag had at the last fetch."""
        return self.path / "refs" / revision

    def manifest(self, commit: str) -> Path:
        """Return the file with the manifest of a commit (`manifest.py`)."""
        return self.path / "manifests" / f"{commit}.json"

    def commit(self, revision: str) -> str | None:
        """Return the commit of a revision, or None if this cache does not know it. Raises Refused."""
        if not REVISION.fullmatch(revision) or ".." in revision:
            raise Refused(f"'{revision}' is not a revision", fix="name a branch, a tag or a commit")
        if COMMIT.fullmatch(revision):
            return revision
        try:
            commit = safe_read.read(self.ref(revision), 1000).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return commit if COMMIT.fullmatch(commit) else None
