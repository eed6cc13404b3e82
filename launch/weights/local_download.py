"""Read what `hf download --local-dir` notes of each file: the commit, and the etag, which is the file's hash.

The note of FILE is `.cache/huggingface/download/FILE.metadata` in the folder: commit, etag and time, a line each
(huggingface_hub 2.4, `_local_folder.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launch.weights import safe_read
from launch.weights.cache import COMMIT, ModelFolder
from launch.weights.manifest import BLOB

NOTES = Path(".cache/huggingface/download")
MANIFESTS = Path(".cache/huggingface/slipway")
SUFFIX = ".metadata"
TOLERANCE = 1.0  # seconds by which a file's time may be later than its note, as in huggingface_hub


@dataclass(frozen=True)
class Origin:
    """Where a file came from: the commit, the hash that it had there, and when it was complete (Unix time)."""

    commit: str
    etag: str
    time: float


@dataclass(frozen=True)
class DownloadFolder(ModelFolder):
    """A folder that `hf download --local-dir` made, as the folder of one model. Its manifests are next to the notes."""

    def __post_init__(self) -> None:
        """Accept any name: the folder does not say which model it has."""

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.cache

    @property
    def blobs(self) -> Path:
        """A folder that does not exist: the files are not links to blobs."""
        return self.cache / MANIFESTS / "blobs"

    def snapshot(self, commit: str) -> Path:
        """Return the folder itself, whatever the commit."""
        return self.cache

    def manifest(self, commit: str) -> Path:
        """Return the file with the manifest of a commit."""
        return self.cache / MANIFESTS / f"{commit}.json"


def notes(folder: Path) -> dict[str, Origin]:
    """Return the note of each file, also of files that are no longer there."""
    root = folder / NOTES
    found = {}
    for note in sorted(root.rglob(f"*{SUFFIX}")) if root.is_dir() else ():
        if origin := _read(note):
            found[note.relative_to(root).as_posix().removesuffix(SUFFIX)] = origin
    return found


def origins(folder: Path) -> dict[str, Origin]:
    """Return the origin of each file that has not been written to since its download."""
    return {name: origin for name, origin in notes(folder).items() if _is_unchanged(folder / name, origin)}


def _read(note: Path) -> Origin | None:
    try:
        commit, etag, time = safe_read.read(note, 1000).decode().split("\n")[:3]
        origin = Origin(commit.strip(), etag.strip(), float(time))
    except (OSError, ValueError):
        return None
    return origin if COMMIT.fullmatch(origin.commit) and BLOB.fullmatch(origin.etag) else None


def _is_unchanged(path: Path, origin: Origin) -> bool:
    try:
        return path.stat().st_mtime <= origin.time + TOLERANCE
    except OSError:
        return False
