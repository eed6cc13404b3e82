"""The recipe sources of this user: a list in the state folder, and below it the files of each pinned commit.

    recipes/sources.json    the sources in the order in which models are looked up
    recipes/NAME/COMMIT/    models/, strategies/, taxonomy.yaml

New files get their name when they are complete, and what the list does not name is removed by the next change.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from errors import Failed
from launch import paths
from launch.atomic_write import write_text

LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Source:
    """A recipe source at a commit; `kind` is git, or folder, whose `commit` is a hash of its content."""

    name: str
    url: str
    kind: str
    commit: str
    revision: str = ""  # the branch, tag or commit to follow; "": the repository's own branch

    @property
    def version(self) -> str:
        """Return what a plan says of it: vllm at commit 0123456789ab."""
        return f"{self.name} at {'commit' if self.kind == 'git' else 'content'} {self.commit[:12]}"

    @property
    def folder(self) -> Path:
        """Return the folder of its recipes, in the layout of vllm-project/recipes."""
        return _home() / self.name / self.commit


def read() -> tuple[Source, ...]:
    """Return the sources in order. Raises Failed for a list that is not Slipway's."""
    path = _home() / "sources.json"
    try:
        return tuple(Source(**row) for row in json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise Failed(f"cannot read '{path}'", why=str(error).splitlines()[0], fix=f"rm {path}") from error


def write(sources: tuple[Source, ...]) -> None:
    """Replace the list, and remove the files that it does not name."""
    with _explained():
        write_text(
            _home() / "sources.json", json.dumps([asdict(source) for source in sources], indent=1) + "\n"
        )
    _remove_unnamed(sources)


def keep(source: Source, files: Mapping[str, bytes], workplace: Path) -> None:
    """Write the files of a source. They count when the list names their commit."""
    tree = workplace / "tree"
    with _explained():
        for path, content in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as stream:
                stream.write(content)
        source.folder.parent.mkdir(parents=True, exist_ok=True)
        if source.folder.exists():
            shutil.rmtree(source.folder)
        tree.rename(source.folder)


@contextmanager
def changing() -> Iterator[Path]:
    """Lock the list, and yield an empty folder next to it that is removed at the end. Raises Failed."""
    from filelock import FileLock, Timeout

    home = paths.writable(_home())
    try:
        with FileLock(home / ".lock", timeout=LOCK_SECONDS):
            _remove_unnamed(read())
            with tempfile.TemporaryDirectory(
                dir=home, prefix=".incomplete-", ignore_cleanup_errors=True
            ) as place:
                yield Path(place)
    except Timeout:
        why = f"another command has held '{home / '.lock'}' for {LOCK_SECONDS:.0f} s"
        raise Failed("cannot change the recipe sources", why=why, fix="wait until it has finished") from None


def _remove_unnamed(sources: tuple[Source, ...]) -> None:
    """Remove what is not of a source: of an update, of a removed source, or of a command that was killed."""
    kept = {source.folder for source in sources}
    for path in _home().iterdir():
        if path.is_dir() and path not in {folder.parent for folder in kept}:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            for old in set(path.iterdir()) - kept:
                shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(f"cannot write to '{_home()}'", why=error.strerror or str(error)) from error


def _home() -> Path:
    return paths.state_dir() / "recipes"
