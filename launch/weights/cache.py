"""The Hugging Face cache on disk: where things are, without importing the library.

models--org--name/blobs/<etag>
                  refs/<revision>              the commit it stood for
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
    """The hub cache as huggingface_hub finds it: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, ~/.cache."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(name):
            return Path(os.path.expandvars(environ[name])).expanduser()
    return hf_home(environ) / "hub"


def hf_home(environ: Mapping[str, str] = os.environ) -> Path:
    """HF_HOME, or its default below the user's cache."""
    if environ.get("HF_HOME"):
        return Path(os.path.expandvars(environ["HF_HOME"])).expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"


@dataclass(frozen=True)
class Place:
    """One model's folder in a cache."""

    cache: Path
    model: str

    def __post_init__(self) -> None:
        if not MODEL.fullmatch(self.model) or ".." in self.model or "--" in self.model:
            raise Refused(f"'{self.model}' is not a model", fix="write it as organisation/name")

    @property
    def folder(self) -> Path:
        """`models--org--name`."""
        return self.cache / self._name

    @property
    def _name(self) -> str:
        return "--".join(("models", *self.model.split("/")))

    @property
    def blobs(self) -> Path:
        """The contents, each under its etag."""
        return self.folder / "blobs"

    @property
    def locks(self) -> Path:
        """Lock files, where huggingface_hub has them too, so that both wait for each other."""
        return self.cache / ".locks" / self._name

    def snapshot(self, commit: str) -> Path:
        """The model's files at a commit, as links."""
        return self.folder / "snapshots" / commit

    def ref(self, revision: str) -> Path:
        """The file that says which commit a branch or tag was, when last asked."""
        return self.folder / "refs" / revision

    def manifest(self, commit: str) -> Path:
        """What the snapshot must hold (`manifest.py`)."""
        return self.folder / "manifests" / f"{commit}.json"

    def commit(self, revision: str) -> str | None:
        """The commit of a revision as far as this cache knows."""
        if not REVISION.fullmatch(revision) or ".." in revision:
            raise Refused(f"'{revision}' is not a revision", fix="name a branch, a tag or a commit")
        if COMMIT.fullmatch(revision):
            return revision
        try:
            known = safe_read.read(self.ref(revision), 1000).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return known if COMMIT.fullmatch(known) else None
