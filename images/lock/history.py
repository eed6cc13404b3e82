"""Tell which vLLM versions and commits are too old for MiniMax-M2."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

from launch.checked_data.data_file import load


@dataclass(frozen=True)
class OldestCommit:
    """The commit that MiniMax-M2 needs, and the first release with it."""

    commit: str
    release: str
    merged: date
    source: str


@dataclass(frozen=True)
class KnownCommit:
    """A commit of vLLM: the release that has its tag, or a day on which it was on main."""

    source: str
    release: str = ""
    seen: date | None = None


@dataclass(frozen=True)
class History:
    """The rows of history.yaml."""

    minimum: OldestCommit
    commits: dict[str, KnownCommit]


@cache
def _history() -> History:
    return load(Path(__file__).with_suffix(".yaml"), History)


def older_than_minimum(version: str, commit: str) -> str:
    """Explain why this vLLM is too old for MiniMax-M2, else return "".

    A development version passes: its number does not tell which commits it includes.
    """
    minimum, row = _history().minimum, _history().commits.get(commit)
    need = f"MiniMax-M2 needs {minimum.release} or commit {minimum.commit[:12]} ({minimum.source})"
    release = version or (row.release if row else "")
    if release and parse(release) < Version(minimum.release) and not parse(release).is_devrelease:
        return f"vLLM {release} is too old: {need}"
    if row and row.seen and row.seen < minimum.merged:
        return f"commit {commit[:12]} existed on {row.seen}: too old, {need}"
    return ""


def parse(version: str) -> Version:
    """Parse a version. An unreadable one counts as the newest, because it does not show that vLLM is too old."""
    try:
        return Version(version)
    except InvalidVersion:
        return Version("9999")
