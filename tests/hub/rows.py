"""A row of a table of faults: what goes wrong, and what a fetch must make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import Fault, serve_folder

from .conftest import BIG, MODEL, SIZES


@dataclass(frozen=True)
class Row:
    """The faults of a server. A row without `error` must end with every byte in place; one with it must say it,
    leave nothing wrong behind, and be completed by the next fetch."""

    what: str
    faults: tuple[Fault, ...]
    error: str = ""


def content(kind: str, **details: object) -> Fault:
    """A fault in the bytes of the largest file."""
    return Fault(kind, "content", match=BIG, **details)  # type: ignore[arg-type]


def assert_row(
    row: Row,
    folder: Path,
    cache: Path,
    fetch: Callable[..., weights.Snapshot],
    assert_whole: Callable[[Path], None],
) -> None:
    """Fetch from a server with these faults, then from one without."""
    with serve_folder(folder, faults=row.faults) as hub:
        if row.error:
            with pytest.raises(SlipwayError) as raised:
                fetch(hub.url)
            assert_says(str(raised.value), row.error)
            assert_nothing_wrong_in(cache, folder)
        else:
            assert_whole(fetch(hub.url).path)
    with serve_folder(folder) as hub:
        assert_whole(fetch(hub.url).path)
    assert weights.check(MODEL, cache=cache).files == len(SIZES)


def assert_says(message: str, expected: str) -> None:
    """One of the expected words, why, and what to do next; nothing that a terminal takes for a command."""
    assert any(words in message for words in expected.split("|")), message
    assert "Traceback" not in message
    assert "\n  next: " in message
    assert message.replace("\n", "").isprintable()


def assert_nothing_wrong_in(cache: Path, folder: Path) -> None:
    """What a failed fetch leaves under its final name is right."""
    for at in cache.glob("models--*/snapshots/*/**/*"):
        if at.is_file():
            name = at.relative_to(next(cache.glob("models--*/snapshots/*"))).as_posix()
            assert at.read_bytes() == (folder / MODEL / name).read_bytes()
    for blob in cache.glob("models--*/blobs/*"):
        assert ".incomplete" in blob.name or blob.stat().st_size in SIZES.values()
