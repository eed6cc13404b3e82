"""Names that the file system cannot create."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights import fetch as fetch_module
from launch.weights import manifest
from launch.weights.cache import ModelFolder
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import MODEL
from tests.hub.faults import serve_folder


def test_fetch_fails_before_the_first_byte_if_paths_are_too_long(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    deep = cache.joinpath(*["x" * 200] * 19, "x" * 30)
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match="too long"):
            fetch(hub.url, cache=deep)
        assert not [request for request in hub.requests if "resolve" in request.target]


def test_fetch_keeps_the_verification_if_a_link_cannot_be_created(
    folder: Path,
    cache: Path,
    commit: str,
    fetch: Callable[..., Snapshot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENAMETOOLONG, "File name too long")

    monkeypatch.setattr(fetch_module, "link", fail)
    with serve_folder(folder) as hub, pytest.raises(SlipwayError):
        fetch(hub.url)
    stored = manifest.load(ModelFolder(cache, MODEL).manifest(commit))
    assert stored and all(entry.verified for entry in stored.entries)
