"""A snapshot in the cache: where it is, and whether it may be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed
from launch.weights.cache import Place, cache_folder


@dataclass(frozen=True)
class Snapshot:
    """A model at a commit on this host. `bytes` is what its files hold, `fetched` what was transferred now."""

    model: str
    revision: str
    commit: str
    path: Path
    files: int
    bytes: int
    fetched: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The values of `invoke fetch --format json`."""
        return {**self.__dict__, "path": str(self.path)}


def check(model: str, revision: str = "main", cache: Path | None = None) -> Snapshot:
    """The snapshot that a server would load, from local facts alone.

    Raises Failed, with the command that completes it, where it is absent or incomplete.
    """
    place = Place(cache or cache_folder(), model)
    fix = f"invoke fetch --model {model}" + (f" --revision {revision}" if revision != "main" else "")
    commit = place.commit(revision)
    if commit is None or not place.snapshot(commit).is_dir():
        raise Failed(f"{model} is not in the cache", why=f"looked in {place.folder}", fix=fix)
    files = [at for at in place.snapshot(commit).rglob("*") if at.is_file()]
    return Snapshot(
        model, revision, commit, place.snapshot(commit), len(files), sum(at.stat().st_size for at in files)
    )
