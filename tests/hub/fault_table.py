"""Rows of fault tables: what goes wrong, and how a fetch must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights.snapshot import Snapshot, require_complete
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.faults import Fault, serve_folder


@dataclass(frozen=True)
class Row:
    """The faults of a server. Without `error` the fetch must succeed with the right content. With it, the fetch
    must fail with that message, leave no wrong content, and the next fetch must complete it."""

    name: str
    faults: tuple[Fault, ...]
    error: str = ""


def content(kind: str, **details: object) -> Fault:
    """Return a fault in the content of the largest file."""
    return Fault(kind, "content", match=BIG, **details)  # type: ignore[arg-type]


def assert_outcome(
    row: Row,
    folder: Path,
    cache: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    """Fetch from a server with these faults, then from one without faults."""
    with serve_folder(folder, faults=row.faults) as hub:
        if row.error:
            with pytest.raises(SlipwayError) as error:
                fetch(hub.url)
            assert_clear_error(str(error.value), row.error)
            assert_no_wrong_content(cache, folder)
        else:
            assert_complete(fetch(hub.url).path)
    with serve_folder(folder) as hub:
        assert_complete(fetch(hub.url).path)
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def assert_clear_error(message: str, expected: str) -> None:
    """Assert that a message has one of the expected texts, a next step, and no control characters."""
    assert any(text in message for text in expected.split("|")), message
    assert "Traceback" not in message
    assert "\n  next: " in message
    assert message.replace("\n", "").isprintable()


def assert_no_wrong_content(cache: Path, folder: Path) -> None:
    """Assert that all files with their final names have the right content."""
    for at in cache.glob("models--*/snapshots/*/**/*"):
        if at.is_file():
            name = at.relative_to(next(cache.glob("models--*/snapshots/*"))).as_posix()
            assert at.read_bytes() == (folder / MODEL / name).read_bytes()
    for blob in cache.glob("models--*/blobs/*"):
        assert ".incomplete" in blob.name or blob.stat().st_size in SIZES.values()
